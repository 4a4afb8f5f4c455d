CREATE TABLE IF NOT EXISTS {{ settings.sync_log_table }} (
    run_id STRING,
    batch_number INT,
    attempt INT,
    status STRING,
    records BIGINT,
    previous_sync_run_id BIGINT,
    sync_run_id BIGINT,
    records_updated BIGINT,
    records_failed BIGINT,
    records_invalid BIGINT,
    reason STRING,
    opened_at TIMESTAMP,
    run_started_at TIMESTAMP,
    run_ended_at TIMESTAMP,
    closed_at TIMESTAMP
)
