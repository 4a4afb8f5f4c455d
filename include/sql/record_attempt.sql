-- What is known of one attempt at one batch. Executing it twice leaves one row.
MERGE INTO {{ settings.sync_log_table }} AS sync_log
USING (
    SELECT
        CAST(:run_id AS STRING) AS run_id,
        CAST(:batch_number AS INT) AS batch_number,
        CAST(:attempt AS INT) AS attempt,
        CAST(:series AS INT) AS series,
        CAST(:status AS STRING) AS status,
        CAST(:records AS BIGINT) AS records,
        CAST(:resends_attempt AS INT) AS resends_attempt,
        CAST(:previous_sync_run_id AS BIGINT) AS previous_sync_run_id,
        CAST(:sync_run_id AS BIGINT) AS sync_run_id,
        CAST(:records_updated AS BIGINT) AS records_updated,
        CAST(:records_failed AS BIGINT) AS records_failed,
        CAST(:records_invalid AS BIGINT) AS records_invalid,
        CAST(:records_rejected AS BIGINT) AS records_rejected,
        CAST(:reason AS STRING) AS reason,
        CAST(:run_started_at AS TIMESTAMP) AS run_started_at,
        CAST(:run_ended_at AS TIMESTAMP) AS run_ended_at,
        CASE WHEN :status = 'sending' THEN CAST(NULL AS TIMESTAMP) ELSE current_timestamp() END AS closed_at
) AS source
    ON sync_log.run_id = source.run_id AND sync_log.batch_number = source.batch_number AND sync_log.attempt = source.attempt
WHEN MATCHED THEN UPDATE SET
    series = source.series,
    sync_run_id = COALESCE(source.sync_run_id, sync_log.sync_run_id),
    status = source.status,
    records_updated = source.records_updated,
    records_failed = source.records_failed,
    records_invalid = source.records_invalid,
    records_rejected = source.records_rejected,
    reason = source.reason,
    run_started_at = source.run_started_at,
    run_ended_at = source.run_ended_at,
    closed_at = source.closed_at
WHEN NOT MATCHED THEN INSERT (
    run_id, batch_number, attempt, series, status, records, resends_attempt, previous_sync_run_id, sync_run_id,
    records_updated, records_failed, records_invalid, records_rejected, reason, run_started_at, run_ended_at, opened_at, closed_at
) VALUES (
    source.run_id,
    source.batch_number,
    source.attempt,
    source.series,
    source.status,
    source.records,
    source.resends_attempt,
    source.previous_sync_run_id,
    source.sync_run_id,
    source.records_updated,
    source.records_failed,
    source.records_invalid,
    source.records_rejected,
    source.reason,
    source.run_started_at,
    source.run_ended_at,
    current_timestamp(),
    source.closed_at
)
