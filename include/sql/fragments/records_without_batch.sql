-- The records of the run, as long as none of them has a batch.
SELECT payload.record_number
FROM {{ settings.payload_table }} AS payload
WHERE
    payload.run_id = :run_id
    AND payload.batch_number IS NULL
    AND NOT EXISTS (
        SELECT 1
        FROM {{ settings.payload_table }} AS assigned
        WHERE assigned.run_id = :run_id AND assigned.batch_number IS NOT NULL
    )
