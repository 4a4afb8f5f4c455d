{% set keys = fields.keys | map(attribute="column") | list %}
-- The differences of one class that a person names: by ids of properties or of records, and by products if :products has some.
-- Both are lists with commas.
WITH found AS (
{% filter indent(4, first=true) %}{% include "fragments/differences.sql" %}{% endfilter +%}
)

SELECT DISTINCT
    class,
    salesforce_id,
    {{ keys | join(",\n    ") }},
    product
FROM found
WHERE
    class = :class
    AND (
        array_contains(split(:ids, ','), {{ fields.property_id.column }})
        OR array_contains(split(:ids, ','), salesforce_id)
    )
    AND (:products = '' OR array_contains(split(:products, ','), product))
