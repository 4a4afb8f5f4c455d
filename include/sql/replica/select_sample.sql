{% from "macros.sql" import any_of %}
-- Of the run's records that the replica shows as they should be, :most that lie evenly over the run. With the values that were sent.
WITH checked AS (
{% filter indent(4, first=true) %}{% include "fragments/checked_records.sql" %}{% endfilter +%}
),

equal AS (
    SELECT
        checked.*,
        row_number() OVER (ORDER BY checked.record_number) - 1 AS place,
        COUNT(*) OVER () AS records
    FROM checked
    WHERE NOT (
        {{ any_of(fields.features, "checked.differs_{}") | indent(8) }}
    )
)

SELECT
    {{ fields.upsert_key.column }},
    {{ fields.features | map(attribute="column") | join(",\n    ") }}
FROM equal
WHERE place % CAST(ceil(records / :most) AS BIGINT) = 0
ORDER BY record_number
