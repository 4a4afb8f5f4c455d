-- Every record of a run's payload beside what Salesforce holds now (salesforce_x_c).
-- If a record is gone from Salesforce, all of its fields differ.
WITH held AS (
{% filter indent(4, first=true) %}{% include "fragments/held_records.sql" %}{% endfilter +%}
)

SELECT
    payload.record_number,
    payload.batch_number,
    payload.salesforce_id,
{% for key in fields.keys %}
    payload.{{ key.column }},
{% endfor %}
    salesforce.id IS NOT NULL AS in_salesforce
{%- for field in fields.features %},
    payload.{{ field.column }},
    salesforce.{{ field.column }} AS salesforce_{{ field.column }},
    salesforce.id IS NULL OR payload.{{ field.column }} IS DISTINCT FROM salesforce.{{ field.column }}
    AS differs_{{ field.column }}
{%- endfor +%}
FROM {{ settings.payload_table }} AS payload
LEFT JOIN held AS salesforce
    ON salesforce.id = payload.salesforce_id AND NOT salesforce.is_deleted
WHERE payload.run_id = :run_id
