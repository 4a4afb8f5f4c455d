{% set columns = fields.features | map(attribute="column") | list %}
-- Takes the values from before this run again, right before it writes, so that an undo restores what this write replaced.
-- Only for records that the attempt sends and that this run has not written yet: what it wrote is not from before.
-- Executing it twice changes nothing.
MERGE INTO {{ settings.payload_table }} AS frozen
USING (
    WITH batch AS (
{% filter indent(8, first=true) %}{% include "fragments/batch_records.sql" %}{% endfilter +%}
    ),

    marked AS (
{% filter indent(8, first=true) %}{% include "fragments/marked_records.sql" %}{% endfilter +%}
    ),

    writes AS (
{% filter indent(8, first=true) %}{% include "fragments/batch_writes.sql" %}{% endfilter +%}
    ),

    written_by_this_run AS (
        SELECT DISTINCT writes.salesforce_id
        FROM writes
        WHERE writes.run_id = :run_id
    )

    SELECT
        batch.record_number,
        salesforce.{{ columns | join(",\n        salesforce.") }}
    FROM batch
    INNER JOIN {{ settings.salesforce_table }} AS salesforce
        ON salesforce.id = batch.salesforce_id AND NOT salesforce.is_deleted
    LEFT JOIN marked
        ON marked.{{ fields.upsert_key.column }} = batch.{{ fields.upsert_key.column }}
    LEFT JOIN written_by_this_run
        ON written_by_this_run.salesforce_id = batch.salesforce_id
    WHERE
        marked.{{ fields.upsert_key.column }} IS NULL
        AND written_by_this_run.salesforce_id IS NULL
) AS source
    ON frozen.run_id = :run_id AND frozen.record_number = source.record_number
WHEN MATCHED THEN UPDATE SET
{%- for column in columns %}
{{ "," if not loop.first }}
    before_{{ column }} = source.{{ column }}
{%- endfor +%}
