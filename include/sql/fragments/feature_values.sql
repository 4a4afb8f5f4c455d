{# What the warehouse says of a property: the columns of its feature row, joined as `features`. A property without a feature row has
   no product; a feature row with an empty flag stays NULL, for the guards to refuse. #}
{% for field in fields.features %}
    {% if field.kind == "checkbox" %}
    CASE WHEN features.property_id IS NULL THEN FALSE ELSE features.{{ field.source }} END AS {{ field.column }}
    {%- else %}
    CAST(features.{{ field.source }} AS {{ field.kind.warehouse_type }}) AS {{ field.column }}
    {%- endif %}
    {{- "," if not loop.last }}
{% endfor %}
