run_id STRING,
compared_at TIMESTAMP,
class STRING,
salesforce_id STRING,
{% for key in fields.keys %}
{{ key.column }} STRING,
{% endfor %}
product STRING,
field STRING,
field_number INT,
in_salesforce_value STRING,
in_warehouse_value STRING,
has_feature_row BOOLEAN,
enabled_in_salesforce STRING
