{# What the warehouse says of a property: the columns of its row in feature_rows, joined as `features`. A property without a feature
   row has no product. An empty flag in a feature row, or a number that is neither 0 nor 1, is NULL, and the guards refuse it. #}
{% for field in fields.features %}
{% if field.kind == "checkbox" %}
CASE WHEN features.property_id IS NULL THEN FALSE ELSE features.{{ field.column }} END
AS {{ field.column }}
{%- else %}
features.{{ field.column }}
{%- endif %}
{{- ",\n" if not loop.last }}
{%- endfor %}
