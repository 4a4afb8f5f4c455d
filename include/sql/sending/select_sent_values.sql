-- The values that the attempt :attempt at a batch was to send, by the columns of the field table. Not of records that it left out.
WITH batch AS (
{% filter indent(4, first=true) %}{% include "fragments/batch_records.sql" %}{% endfilter +%}
),

marked AS (
{% filter indent(4, first=true) %}{% include "fragments/marked_records.sql" %}{% endfilter +%}
)

SELECT
    batch.{{ fields | map(attribute="column") | join(",\n    batch.") }}
FROM batch
LEFT JOIN marked
    ON marked.{{ fields.upsert_key.column }} = batch.{{ fields.upsert_key.column }}
WHERE marked.{{ fields.upsert_key.column }} IS NULL
ORDER BY batch.record_number
