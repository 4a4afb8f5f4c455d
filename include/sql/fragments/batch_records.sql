-- The records of a batch that an attempt sends: all of them, or those that the attempt :resends_attempt left rejected.
-- Before the payload is released there are none, so that nothing unchecked can be staged.
SELECT payload.*
FROM {{ settings.payload_table }} AS payload
WHERE
    payload.run_id = :run_id
    AND payload.batch_number = :batch_number
    AND payload.released_at IS NOT NULL
    AND (
        CAST(:resends_attempt AS INT) IS NULL
        OR payload.{{ fields.upsert_key.column }} IN (
            SELECT rejection.{{ fields.upsert_key.column }}
            FROM {{ settings.rejection_table }} AS rejection
            WHERE
                rejection.run_id = :run_id
                AND rejection.batch_number = :batch_number
                AND rejection.attempt = CAST(:resends_attempt AS INT)
        )
    )
