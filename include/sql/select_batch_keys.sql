SELECT {{ fields.upsert_key.column }} AS upsert_key
FROM (
    {% include "fragments/batch_records.sql" %}
) AS batch
