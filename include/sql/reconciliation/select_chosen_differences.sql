-- What is about to be accepted.
WITH chosen AS (
{% filter indent(4, first=true) %}{% include "fragments/chosen_differences.sql" %}{% endfilter +%}
)

SELECT
    salesforce_id,
    {{ fields.property_id.column }} AS property_id,
    product
FROM chosen
ORDER BY {{ fields.keys | map(attribute="column") | join(", ") }}, salesforce_id, product
