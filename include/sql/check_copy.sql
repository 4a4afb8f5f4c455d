-- How far the warehouse's copy of Salesforce has caught up with what this run sent.
-- A record is settled when its row in the copy was changed since the Census run that sent it started, or when the copy holds any
-- change made after that run ended: the replication follows the order of changes, so the row then is what Salesforce held at the
-- end of the run, changed or not. Salesforce keeps system_modstamp in whole seconds.
-- Batches that did not succeed are not waited for: what was rejected changes nothing, so no newer row would ever come.
SELECT
    COUNT(*) AS records_sent,
    COUNT_IF(
        NOT COALESCE(copy.system_modstamp >= date_trunc('SECOND', sent.run_started_at), FALSE)
        AND NOT COALESCE(newest.changed_at > sent.run_ended_at, FALSE)
    ) AS records_stale,
    MAX(newest.synced_at) AS synced_at,
    MAX(sent.run_ended_at) AS last_sent_at,
    current_timestamp() AS checked_at
FROM {{ settings.payload_table }} AS payload
INNER JOIN (
    SELECT batch_number, run_started_at, run_ended_at
    FROM (
        SELECT
            batch_number,
            status,
            run_started_at,
            run_ended_at,
            row_number() OVER (PARTITION BY batch_number ORDER BY attempt DESC) AS newest_first
        FROM {{ settings.sync_log_table }}
        WHERE run_id = :run_id
    ) AS attempts
    WHERE newest_first = 1 AND status = 'succeeded'
) AS sent
    ON sent.batch_number = payload.batch_number
CROSS JOIN (
    SELECT MAX(system_modstamp) AS changed_at, MAX(_fivetran_synced) AS synced_at
    FROM {{ settings.salesforce_table }}
) AS newest
LEFT JOIN {{ settings.salesforce_table }} AS copy
    ON copy.id = payload.salesforce_id
WHERE payload.run_id = :run_id
