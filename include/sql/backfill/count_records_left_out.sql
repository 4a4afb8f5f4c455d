WITH left_out AS (
{% filter indent(4, first=true) %}{% include "fragments/records_left_out.sql" %}{% endfilter +%}
)

SELECT
    reason,
    COUNT(*) AS records
FROM left_out
GROUP BY reason
