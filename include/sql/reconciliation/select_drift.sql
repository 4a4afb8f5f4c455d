SELECT *
FROM {{ settings.drift_table }}
WHERE run_id = :run_id
ORDER BY product
