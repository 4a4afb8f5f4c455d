-- How many properties are in the properties table more than once.
WITH ids AS (
{% filter indent(4, first=true) %}{% include "fragments/repeated_properties.sql" %}{% endfilter +%}
)

SELECT
    COUNT(*) AS properties,
    MIN(property_id) AS example
FROM ids
