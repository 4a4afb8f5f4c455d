-- Each record of a payload, once for each attempt that sent it and is not known to have had it rejected.
WITH tried AS (
{% filter indent(4, first=true) %}{% include "fragments/tried_records.sql" %}{% endfilter +%}
)

SELECT tried.*
FROM tried
WHERE NOT tried.is_rejected
