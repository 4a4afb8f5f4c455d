-- Whether the warehouse's copy of Salesforce already shows what this run sent: a record is stale when its row was last
-- replicated before the Census run that sent it ended. Records of batches that did not succeed are not waited for: Salesforce
-- did not change them, so no newer row ever comes.
SELECT
    COUNT(*) AS records_sent,
    COUNT_IF(copy._fivetran_synced IS NULL OR copy._fivetran_synced <= sent.run_ended_at) AS records_stale,
    MIN(copy._fivetran_synced) AS oldest_synced_at,
    MAX(sent.run_ended_at) AS last_sent_at,
    current_timestamp() AS checked_at
FROM {{ settings.payload_table }} AS payload
INNER JOIN (
    SELECT batch_number, run_ended_at
    FROM (
        SELECT
            batch_number,
            status,
            run_ended_at,
            row_number() OVER (PARTITION BY batch_number ORDER BY attempt DESC) AS newest_first
        FROM {{ settings.sync_log_table }}
        WHERE run_id = :run_id
    ) AS attempts
    WHERE newest_first = 1 AND status = 'succeeded'
) AS sent
    ON sent.batch_number = payload.batch_number
LEFT JOIN {{ settings.salesforce_table }} AS copy
    ON copy.id = payload.salesforce_id
WHERE payload.run_id = :run_id
