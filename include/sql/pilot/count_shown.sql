{% from "macros.sql" import any_of %}
-- How many of the pilot's records the replica shows as they were sent. It lags, so right after sending it may show none.
WITH checked AS (
{% filter indent(4, first=true) %}{% include "fragments/checked_records.sql" %}{% endfilter +%}
)

SELECT
    COUNT(*) AS records,
    COUNT_IF(
        NOT (
            {{ any_of(fields.features, "differs_{}") | indent(12) }}
        )
    ) AS records_shown
FROM checked
WHERE batch_number = 1
