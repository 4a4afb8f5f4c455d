SELECT
    batch_number,
    MIN(record_number) AS first_record,
    MAX(record_number) AS last_record,
    COUNT(*) AS records
FROM {{ settings.payload_table }}
WHERE run_id = :run_id
GROUP BY batch_number
ORDER BY batch_number
