{# What the warehouse says of a property: the columns of its feature row, joined as `features`. A property without a feature row has
   no product. An empty flag in a feature row stays NULL, and the guards refuse it. #}
{% for field in fields.features %}
{% if field.kind == "checkbox" %}
CASE WHEN features.property_id IS NULL THEN FALSE ELSE features.{{ field.source }} END AS {{ field.column }}
{%- else %}
CAST(features.{{ field.source }} AS {{ field.kind.warehouse_type }}) AS {{ field.column }}
{%- endif %}
{{- ",\n" if not loop.last }}
{%- endfor %}
