WITH scope AS (
{% filter indent(4, first=true) %}{% include "fragments/records_in_scope.sql" %}{% endfilter +%}
)

SELECT
    COUNT(*) AS records,
    current_timezone() AS session_time_zone
FROM scope
