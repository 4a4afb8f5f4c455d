-- Each record of a payload, once for each attempt that was to send it. is_rejected: the attempt left it rejected, see rejection.
-- An attempt that resends another sends only the records that the other one left rejected.
SELECT
    payload.run_id,
    payload.record_number,
    payload.salesforce_id,
    payload.{{ fields.upsert_key.column }},
    payload.frozen_at,
    attempt.attempt,
    attempt.status,
    attempt.sync_run_id,
    attempt.records_rejected,
    attempt.opened_at,
    attempt.closed_at,
    attempt.run_started_at,
    attempt.run_ended_at,
    rejected.{{ fields.upsert_key.column }} IS NOT NULL AS is_rejected,
    rejected.reason AS rejection
FROM {{ settings.payload_table }} AS payload
INNER JOIN {{ settings.sync_log_table }} AS attempt
    ON attempt.run_id = payload.run_id
    AND attempt.batch_number = payload.batch_number
LEFT JOIN {{ settings.rejection_table }} AS resent
    ON resent.run_id = payload.run_id
    AND resent.batch_number = payload.batch_number
    AND resent.attempt = attempt.resends_attempt
    AND resent.{{ fields.upsert_key.column }} = payload.{{ fields.upsert_key.column }}
LEFT JOIN {{ settings.rejection_table }} AS rejected
    ON rejected.run_id = payload.run_id
    AND rejected.batch_number = payload.batch_number
    AND rejected.attempt = attempt.attempt
    AND rejected.{{ fields.upsert_key.column }} = payload.{{ fields.upsert_key.column }}
WHERE attempt.resends_attempt IS NULL OR resent.{{ fields.upsert_key.column }} IS NOT NULL
