SELECT
    {{ fields.property_id.column }},
    {{ fields.upsert_key.column }}
{%- for field in fields.features %},
    {{ field.column }}
{%- endfor +%}
FROM {{ settings.payload_table }}
WHERE run_id = :run_id AND batch_number = :batch_number
ORDER BY record_number
