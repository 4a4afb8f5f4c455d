{% for field in fields %}
{{ field.column }} {{ field.kind.warehouse_type }},
{% endfor %}
run_id STRING,
batch_number INT
