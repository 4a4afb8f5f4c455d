{% from "macros.sql" import insert_missing %}
{% set columns = columns_of("payload") | map(attribute="name") | reject("in", ["batch_number", "released_at"]) | list %}
-- Inserts the records of a run, but only if the run has none yet. So executing it twice changes nothing.
-- batch_number stays NULL until backfill/assign_batches.sql, released_at until backfill/release_payload.sql.
MERGE INTO {{ settings.payload_table }} AS frozen
USING (
    WITH placed AS (
{% filter indent(8, first=true) %}{% include "fragments/placed_records.sql" %}{% endfilter +%}
    )

    SELECT
        :run_id AS run_id,
        placed.record_number,
        current_timestamp() AS frozen_at,
        placed.salesforce_id,
        placed.parent_id,
        placed.has_feature_row,
        placed.property_name,
        placed.is_undo
{%- for field in fields %},
        placed.{{ field.column }}
{%- endfor %}
{%- for field in fields.features %},
        placed.salesforce_{{ field.column }} AS before_{{ field.column }}
{%- endfor +%}
    FROM placed
    WHERE NOT EXISTS (SELECT 1 FROM {{ settings.payload_table }} AS former WHERE former.run_id = :run_id)
) AS source
    ON frozen.run_id = source.run_id AND frozen.record_number = source.record_number
{{ insert_missing(columns, "source") }}
