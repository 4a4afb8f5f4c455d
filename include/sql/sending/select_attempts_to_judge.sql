-- The last attempt at the batch :batch_number of a run, and the :most newest of the last attempts at its other batches that can
-- count as failures. If the batch :was_cleared, only attempts after a clear count.
-- batch_records: how many records the largest attempt at the batch sent.
WITH last_attempts AS (
    SELECT
        COALESCE(closed_at, opened_at) AS seen_at,
        MAX(records) OVER (PARTITION BY batch_number) AS batch_records
{%- for column in columns_of("sync_log") %},
        {{ column.name }}
{%- endfor +%}
    FROM {{ settings.sync_log_table }}
    WHERE run_id = :run_id
    QUALIFY row_number() OVER (PARTITION BY batch_number ORDER BY attempt DESC) = 1
)

SELECT *
FROM last_attempts
WHERE
    batch_number = :batch_number
    OR (status NOT IN ('halted', 'over_limit') AND (series > 0 OR NOT CAST(:was_cleared AS BOOLEAN)))
QUALIFY row_number() OVER (ORDER BY batch_number = :batch_number DESC, seen_at DESC) <= CAST(:most AS INT) + 1
