-- One row a differing field, in the order of the payload. No value on one side is an empty cell.
WITH checked AS (
    {% include "fragments/checked_records.sql" %}
)

SELECT batch_number, record_number, {{ fields.property_id.column }}, {{ fields.upsert_key.column }}, in_salesforce, field, in_salesforce_value, in_warehouse_value
FROM (
    {% for field in fields.features %}
    {{ "UNION ALL " if not loop.first -}}
    SELECT
        batch_number, record_number, {{ fields.property_id.column }}, {{ fields.upsert_key.column }}, in_salesforce,
        '{{ field.column }}' AS field,
        {{ loop.index }} AS field_number,
        CAST(present_{{ field.column }} AS STRING) AS in_salesforce_value,
        CAST({{ field.column }} AS STRING) AS in_warehouse_value
    FROM checked
    WHERE differs_{{ field.column }}
    {% endfor %}
) AS mismatches
ORDER BY record_number, field_number
