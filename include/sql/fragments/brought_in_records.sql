-- Records that some attempt of the run to undo brought into Salesforce, or may have: of an attempt whose rows are not known for
-- sure, nothing says that it did not.
SELECT payload.{{ fields.upsert_key.column }}
FROM {{ settings.payload_table }} AS payload
INNER JOIN {{ settings.sync_log_table }} AS attempt
    ON attempt.run_id = payload.run_id
    AND attempt.batch_number = payload.batch_number
    AND attempt.sync_run_id IS NOT NULL
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
WHERE
    payload.run_id = :undo_run_id
    AND (attempt.resends_attempt IS NULL OR resent.{{ fields.upsert_key.column }} IS NOT NULL)
    AND rejected.{{ fields.upsert_key.column }} IS NULL
