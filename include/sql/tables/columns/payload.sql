run_id STRING,
record_number BIGINT,
batch_number INT,
frozen_at TIMESTAMP,
released_at TIMESTAMP,
salesforce_id STRING,
parent_id STRING,
has_feature_row BOOLEAN,
property_name STRING
{%- for field in fields %},
{{ field.column }} {{ field.kind.warehouse_type }}
{%- endfor %}
{%- for field in fields.features %},
before_{{ field.column }} {{ field.kind.warehouse_type }}
{%- endfor %},
is_undo BOOLEAN
