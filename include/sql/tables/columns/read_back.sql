run_id STRING,
purpose STRING,
read_at TIMESTAMP,
salesforce_id STRING,
{{ fields.upsert_key.column }} STRING,
modified_at TIMESTAMP,
modified_by STRING,
unreadable STRING
{%- for field in fields.features %},
{{ field.column }} {{ field.kind.warehouse_type }}
{%- endfor %}
