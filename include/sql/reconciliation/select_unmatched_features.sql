-- Some of what the feature table names and the properties table does not have, first what resembles a property.
WITH unmatched AS (
{% filter indent(4, first=true) %}{% include "fragments/unmatched_features.sql" %}{% endfilter +%}
)

SELECT
    property_id,
    resembles
FROM unmatched
ORDER BY resembles NULLS LAST, property_id
LIMIT 5
