-- What was found since :since: one row for each product and reconciliation, the oldest first.
SELECT *
FROM {{ settings.drift_table }}
WHERE checked_at >= CAST(:since AS TIMESTAMP)
ORDER BY checked_at, run_id, product
