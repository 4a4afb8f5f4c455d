-- The records that follow the pilot, and how many of them may not be sent, because no person has released them.
SELECT
    COUNT(*) AS records,
    COUNT(DISTINCT batch_number) AS batches,
    COUNT_IF(released_at IS NULL) AS records_waiting
FROM {{ settings.payload_table }}
WHERE run_id = :run_id AND batch_number > 1
