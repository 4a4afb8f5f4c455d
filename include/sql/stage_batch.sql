-- The batch in flight, and nothing else: what Census reads. run_id and batch_number are not mapped.
CREATE OR REPLACE TABLE {{ settings.batch_table }} AS
SELECT
    {% for field in fields %}
    {{ field.column }},
    {% endfor %}
    run_id,
    batch_number
FROM (
    {% include "fragments/batch_records.sql" %}
) AS batch
