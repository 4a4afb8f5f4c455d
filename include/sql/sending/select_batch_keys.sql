-- The records of a batch that an attempt was to send. left_out_reason: why the attempt :attempt left one out, or NULL.
WITH batch AS (
{% filter indent(4, first=true) %}{% include "fragments/batch_records.sql" %}{% endfilter +%}
),

marked AS (
{% filter indent(4, first=true) %}{% include "fragments/marked_records.sql" %}{% endfilter +%}
)

SELECT
    batch.{{ fields.upsert_key.column }} AS upsert_key,
    marked.reason AS left_out_reason
FROM batch
LEFT JOIN marked
    ON marked.{{ fields.upsert_key.column }} = batch.{{ fields.upsert_key.column }}
