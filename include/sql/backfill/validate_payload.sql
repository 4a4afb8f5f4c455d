{% from "macros.sql" import any_of %}
-- How many of the run's records are in Salesforce as they should be.
WITH checked AS (
{% filter indent(4, first=true) %}{% include "fragments/checked_records.sql" %}{% endfilter +%}
)

SELECT
    COUNT(*) AS properties_checked,
    COUNT_IF(
        {{ any_of(fields.features, "differs_{}") | indent(8) }}
    ) AS properties_mismatched
{%- for product in fields.products %},
    COUNT_IF(salesforce_{{ product.enabled.column }}) AS {{ product.name }}_in_salesforce,
    COUNT_IF({{ product.enabled.column }}) AS {{ product.name }}_in_warehouse,
    COUNT_IF(
        {{ any_of(product.fields, "differs_{}") | indent(8) }}
    ) AS {{ product.name }}_mismatched
{%- endfor +%}
FROM checked
