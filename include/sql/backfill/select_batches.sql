-- Each batch of a run with the range of its records. siblings: records beyond the first of each parent.
SELECT
    batch_number AS number,
    MIN(record_number) AS first,
    MAX(record_number) AS last,
    COUNT(*) AS records,
    COUNT(parent_id) - COUNT(DISTINCT parent_id) AS siblings
FROM {{ settings.payload_table }}
WHERE run_id = :run_id
GROUP BY batch_number
ORDER BY batch_number
