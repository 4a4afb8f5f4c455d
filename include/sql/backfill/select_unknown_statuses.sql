-- The statuses that no setting knows, the most frequent first.
WITH unknown AS (
{% filter indent(4, first=true) %}{% include "fragments/properties_of_unknown_status.sql" %}{% endfilter +%}
)

SELECT status, COUNT(*) AS properties
FROM unknown
GROUP BY status
ORDER BY properties DESC, status
LIMIT 20
