-- The properties that a feature row names in another spelling. Nobody can say what they have.
WITH unmatched_rows AS (
{% filter indent(4, first=true) %}{% include "fragments/unmatched_features.sql" %}{% endfilter +%}
)

SELECT DISTINCT resembles AS property_id
FROM unmatched_rows
WHERE resembles IS NOT NULL
