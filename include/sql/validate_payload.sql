SELECT
    COUNT(*) AS properties_checked,
    COUNT_IF(
        {% for field in fields.features %}
        {{ "OR " if not loop.first }}differs_{{ field.column }}
        {% endfor %}
    ) AS properties_mismatched
{%- for product in fields.products %},
    COUNT_IF(present_{{ product.enabled.column }}) AS {{ product.name }}_in_salesforce,
    COUNT_IF({{ product.enabled.column }}) AS {{ product.name }}_in_warehouse,
    COUNT_IF({% for field in product.fields %}{{ " OR " if not loop.first }}differs_{{ field.column }}{% endfor %}) AS {{ product.name }}_mismatched
{%- endfor %}

FROM (
    {% include "fragments/checked_records.sql" %}
) AS checked
