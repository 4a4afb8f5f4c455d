-- The newest runs that have a payload.
SELECT run_id, MAX(frozen_at) AS frozen_at, COUNT(*) AS records
FROM {{ settings.payload_table }}
GROUP BY run_id
ORDER BY frozen_at DESC, run_id
LIMIT 5
