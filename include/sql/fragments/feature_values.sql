{# What the warehouse says of a property: the columns of its feature row, joined as `features`. A property without a feature row has
   no product. An empty flag in a feature row, or a number that is neither 0 nor 1, is NULL, and the guards refuse it. #}
{% for field in fields.features %}
{% if field.kind == "checkbox" %}
{% if fields.flag_type == "number" %}
CASE
    WHEN features.property_id IS NULL THEN FALSE
    ELSE CASE features.{{ field.source }} WHEN 1 THEN TRUE WHEN 0 THEN FALSE END
END AS {{ field.column }}
{%- else %}
CASE WHEN features.property_id IS NULL THEN FALSE ELSE features.{{ field.source }} END AS {{ field.column }}
{%- endif %}
{%- else %}
CAST(features.{{ field.source }} AS {{ field.kind.warehouse_type }}) AS {{ field.column }}
{%- endif %}
{{- ",\n" if not loop.last }}
{%- endfor %}
