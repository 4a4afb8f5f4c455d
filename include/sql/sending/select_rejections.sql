-- Records that stay rejected: those that the last attempt at their batch left rejected, if it reached Salesforce.
-- Not those that a probe left for smaller batches.
WITH last_sent AS (
    SELECT batch_number, MAX(attempt) AS attempt
    FROM {{ settings.sync_log_table }}
    WHERE
        run_id = :run_id
        AND status IN (
            'succeeded', 'accepted_by_counters', 'failed', 'over_limit', 'organization_limit', 'differs', 'unconfirmed'
        )
    GROUP BY batch_number
)

SELECT
    rejection.batch_number,
    payload.record_number,
    rejection.{{ fields.upsert_key.column }},
    rejection.reason,
    rejection.attempt
FROM {{ settings.rejection_table }} AS rejection
INNER JOIN last_sent
    ON last_sent.batch_number = rejection.batch_number AND last_sent.attempt = rejection.attempt
INNER JOIN {{ settings.payload_table }} AS payload
    ON payload.run_id = rejection.run_id
    AND payload.batch_number = rejection.batch_number
    AND payload.{{ fields.upsert_key.column }} = rejection.{{ fields.upsert_key.column }}
WHERE rejection.run_id = :run_id
ORDER BY payload.record_number
