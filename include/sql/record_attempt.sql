-- What is known of one attempt at one batch. NULL leaves what was known before.
MERGE INTO {{ settings.sync_log_table }} AS sync_log
USING (
    SELECT
        CAST(:run_id AS STRING) AS run_id,
        CAST(:batch_number AS INT) AS batch_number,
        CAST(:attempt AS INT) AS attempt,
        CAST(:status AS STRING) AS status,
        CAST(:records AS BIGINT) AS records,
        CAST(:previous_sync_run_id AS BIGINT) AS previous_sync_run_id,
        CAST(:sync_run_id AS BIGINT) AS sync_run_id,
        CAST(:records_updated AS BIGINT) AS records_updated,
        CAST(:records_failed AS BIGINT) AS records_failed,
        CAST(:records_invalid AS BIGINT) AS records_invalid,
        CAST(:reason AS STRING) AS reason,
        CAST(:run_started_at AS TIMESTAMP) AS run_started_at,
        CAST(:run_ended_at AS TIMESTAMP) AS run_ended_at,
        CASE WHEN :status = 'sending' THEN CAST(NULL AS TIMESTAMP) ELSE current_timestamp() END AS closed_at
) AS source
    ON sync_log.run_id = source.run_id AND sync_log.batch_number = source.batch_number AND sync_log.attempt = source.attempt
WHEN MATCHED THEN UPDATE SET
    status = source.status,
    sync_run_id = COALESCE(source.sync_run_id, sync_log.sync_run_id),
    records_updated = source.records_updated,
    records_failed = source.records_failed,
    records_invalid = source.records_invalid,
    reason = source.reason,
    run_started_at = source.run_started_at,
    run_ended_at = source.run_ended_at,
    closed_at = source.closed_at
WHEN NOT MATCHED THEN INSERT (
    run_id, batch_number, attempt, status, records, previous_sync_run_id, sync_run_id,
    records_updated, records_failed, records_invalid, reason, opened_at, run_started_at, run_ended_at, closed_at
) VALUES (
    source.run_id, source.batch_number, source.attempt, source.status, source.records, source.previous_sync_run_id, source.sync_run_id,
    source.records_updated, source.records_failed, source.records_invalid, source.reason,
    current_timestamp(), source.run_started_at, source.run_ended_at, source.closed_at
)
