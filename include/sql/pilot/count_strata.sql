-- How many records of each stratum a run has, and how many of these are in its pilot, the first batch.
WITH strata AS (
{% filter indent(4, first=true) %}{% include "fragments/pilot_strata.sql" %}{% endfilter +%}
),

counted AS (
    SELECT
        strata.stratum.number AS number,
        strata.stratum.name AS name,
        COUNT(*) AS records,
        COUNT_IF(strata.batch_number = 1) AS chosen
    FROM strata
    GROUP BY strata.stratum.number, strata.stratum.name
)

SELECT counted.name AS stratum, counted.records, counted.chosen
FROM counted
ORDER BY counted.number
