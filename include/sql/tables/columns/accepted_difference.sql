run_id STRING,
class STRING,
salesforce_id STRING,
{% for key in fields.keys %}
{{ key.column }} STRING,
{% endfor %}
product STRING,
reason STRING,
accepted_by STRING,
accepted_until DATE,
accepted_at TIMESTAMP
