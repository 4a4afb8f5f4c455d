-- Every record of a run's payload beside what Salesforce holds now (present_x_c); a record that is gone there has no present values.
SELECT
    payload.record_number,
    payload.batch_number,
    payload.{{ fields.property_id.column }},
    payload.{{ fields.upsert_key.column }},
    copy.id IS NOT NULL AS in_salesforce
{%- for field in fields.features %},
    payload.{{ field.column }},
    copy.{{ field.column }} AS present_{{ field.column }},
    copy.id IS NULL OR payload.{{ field.column }} IS DISTINCT FROM copy.{{ field.column }} AS differs_{{ field.column }}
{%- endfor %}

FROM {{ settings.payload_table }} AS payload
LEFT JOIN {{ settings.salesforce_table }} AS copy
    ON copy.id = payload.salesforce_id AND NOT copy.is_deleted
WHERE payload.run_id = :run_id
