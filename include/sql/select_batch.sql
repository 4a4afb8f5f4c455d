SELECT
{%- for field in fields %}
    {{ ", " if not loop.first }}{{ field.column }}
{%- endfor %}

FROM {{ settings.payload_table }}
WHERE run_id = :run_id AND batch_number = :batch_number
ORDER BY record_number
