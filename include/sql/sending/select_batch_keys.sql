WITH batch AS (
{% filter indent(4, first=true) %}{% include "fragments/batch_records.sql" %}{% endfilter +%}
)

SELECT {{ fields.upsert_key.column }} AS upsert_key
FROM batch
