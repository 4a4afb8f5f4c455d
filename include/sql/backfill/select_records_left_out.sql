WITH left_out AS (
{% filter indent(4, first=true) %}{% include "fragments/records_left_out.sql" %}{% endfilter +%}
)

SELECT *
FROM left_out
ORDER BY {{ fields.upsert_key.column }}, {{ fields.property_id.column }}
