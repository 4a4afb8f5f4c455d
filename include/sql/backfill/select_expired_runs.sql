-- Runs whose payload was frozen, and whose last batch was attempted, before :before.
SELECT payload.run_id, COUNT(*) AS records
FROM {{ settings.payload_table }} AS payload
WHERE NOT EXISTS (
    SELECT 1
    FROM {{ settings.sync_log_table }} AS sync_log
    WHERE
        sync_log.run_id = payload.run_id
        AND COALESCE(sync_log.closed_at, sync_log.opened_at) >= CAST(:before AS TIMESTAMP)
)
GROUP BY payload.run_id
HAVING MAX(payload.frozen_at) < CAST(:before AS TIMESTAMP)
ORDER BY payload.run_id
