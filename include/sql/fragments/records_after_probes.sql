-- What the probes left to send, as long as there is no batch after them.
-- The probe :over_limit went over a limit at :attempt, and left some records rejected. The probes after it were not sent at all.
SELECT payload.record_number
FROM {{ settings.payload_table }} AS payload
LEFT JOIN {{ settings.rejection_table }} AS rejection
    ON rejection.run_id = payload.run_id
    AND rejection.batch_number = payload.batch_number
    AND rejection.attempt = :attempt
    AND rejection.{{ fields.upsert_key.column }} = payload.{{ fields.upsert_key.column }}
WHERE
    payload.run_id = :run_id
    AND payload.batch_number BETWEEN :over_limit AND :probes
    AND (payload.batch_number > :over_limit OR rejection.{{ fields.upsert_key.column }} IS NOT NULL)
    AND NOT EXISTS (
        SELECT 1
        FROM {{ settings.payload_table }} AS assigned
        WHERE assigned.run_id = :run_id AND assigned.batch_number > :probes
    )
