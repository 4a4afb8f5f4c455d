-- The last attempt at each batch of a run; :batch_number NULL means all batches.
SELECT
    batch_number,
    attempt,
    series,
    status,
    records,
    resends_attempt,
    previous_sync_run_id,
    sync_run_id,
    records_updated,
    records_failed,
    records_invalid,
    records_rejected,
    reason,
    COALESCE(closed_at, opened_at) AS seen_at
FROM {{ settings.sync_log_table }}
WHERE run_id = :run_id AND (:batch_number IS NULL OR batch_number = CAST(:batch_number AS INT))
QUALIFY row_number() OVER (PARTITION BY batch_number ORDER BY attempt DESC) = 1
ORDER BY batch_number
