-- The last attempt at the batch :batch_number of a run, and the :most newest of the last attempts at its other batches that can
-- count as failures. If the batch :was_cleared, only attempts after a clear count.
WITH last_attempts AS (
{% filter indent(4, first=true) %}{% include "fragments/last_attempts.sql" %}{% endfilter +%}
)

SELECT *
FROM last_attempts
WHERE
    batch_number = :batch_number
    OR (status NOT IN ('halted', 'over_limit') AND (series > 0 OR NOT CAST(:was_cleared AS BOOLEAN)))
QUALIFY row_number() OVER (ORDER BY batch_number = :batch_number DESC, seen_at DESC) <= CAST(:most AS INT) + 1
