-- How far the warehouse's copy of Salesforce has caught up with what a run sent, or every run when :run_id is NULL: each accepted
-- record, with the Census run that brought it in last. A record is settled when its row in the copy was changed since that run
-- started, or when the copy holds any change made after that run ended: the replication follows the order of changes, so the row
-- then is what Salesforce held at the end of the run, changed or not. Salesforce keeps system_modstamp in whole seconds.
-- Rejected records are not waited for: they changed nothing, so no newer row would ever come.
SELECT
    COUNT(accepted.salesforce_id) AS records_sent,
    COUNT_IF(
        accepted.salesforce_id IS NOT NULL
        AND NOT COALESCE(copy.system_modstamp >= date_trunc('SECOND', accepted.run_started_at), FALSE)
        AND NOT COALESCE(newest.changed_at > accepted.run_ended_at, FALSE)
    ) AS records_stale,
    MAX(newest.synced_at) AS synced_at,
    MAX(accepted.run_ended_at) AS last_sent_at,
    current_timestamp() AS checked_at
FROM (
    SELECT MAX(system_modstamp) AS changed_at, MAX(_fivetran_synced) AS synced_at
    FROM {{ settings.salesforce_table }}
) AS newest
LEFT JOIN (
    SELECT
        payload.salesforce_id,
        attempt.run_started_at,
        attempt.run_ended_at,
        row_number() OVER (PARTITION BY payload.run_id, payload.record_number ORDER BY attempt.attempt DESC) AS newest_first
    FROM {{ settings.payload_table }} AS payload
    INNER JOIN {{ settings.sync_log_table }} AS attempt
        ON attempt.run_id = payload.run_id
        AND attempt.batch_number = payload.batch_number
        AND attempt.records_rejected IS NOT NULL
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
        (CAST(:run_id AS STRING) IS NULL OR payload.run_id = CAST(:run_id AS STRING))
        AND (attempt.resends_attempt IS NULL OR resent.{{ fields.upsert_key.column }} IS NOT NULL)
        AND rejected.{{ fields.upsert_key.column }} IS NULL
) AS accepted
    ON accepted.newest_first = 1
LEFT JOIN {{ settings.salesforce_table }} AS copy
    ON copy.id = accepted.salesforce_id
