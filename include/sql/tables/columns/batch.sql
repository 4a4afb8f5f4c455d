{{ fields.property_id.column }} {{ fields.property_id.kind.warehouse_type }},
{{ fields.upsert_key.column }} {{ fields.upsert_key.kind.warehouse_type }}
{%- for field in fields.features %},
{{ field.column }} {{ field.kind.warehouse_type }}
{%- endfor %},
run_id STRING,
batch_number INT
