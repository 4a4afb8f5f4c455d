SELECT
    COUNT(*) AS records,
    current_timezone() AS session_time_zone
FROM (
    {% include "fragments/records_in_scope.sql" %}
) AS scope
