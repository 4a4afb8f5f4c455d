-- After a probe went over a limit: what it left rejected, and what was not sent yet, goes into batches of a size that has passed.
-- Executing it twice changes nothing, because then no record is left in the probes' batches.
MERGE INTO {{ settings.payload_table }} AS payload
USING (
    SELECT
        rest.run_id,
        rest.record_number,
        CAST(floor((row_number() OVER (ORDER BY rest.record_number) - 1) / :batch_size) AS INT) + 1 + :probes AS batch_number
    FROM {{ settings.payload_table }} AS rest
    LEFT JOIN {{ settings.rejection_table }} AS rejection
        ON rejection.run_id = rest.run_id
        AND rejection.batch_number = rest.batch_number
        AND rejection.attempt = :attempt
        AND rejection.{{ fields.upsert_key.column }} = rest.{{ fields.upsert_key.column }}
    WHERE
        rest.run_id = :run_id
        AND rest.batch_number BETWEEN :over_limit AND :probes
        AND (rest.batch_number > :over_limit OR rejection.{{ fields.upsert_key.column }} IS NOT NULL)
) AS moved
    ON payload.run_id = moved.run_id AND payload.record_number = moved.record_number
WHEN MATCHED THEN UPDATE SET batch_number = moved.batch_number
