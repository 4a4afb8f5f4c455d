{% from "macros.sql" import has_ended %}
-- Records that stay rejected: those that the last attempt at their batch left rejected, if it reached Salesforce.
-- Not those that a probe left for smaller batches.
WITH last_sent AS (
    SELECT tried.batch_number, MAX(tried.attempt) AS attempt
    FROM {{ settings.sync_log_table }} AS tried
    WHERE
        tried.run_id = :run_id
        AND {{ has_ended("tried") }}
    GROUP BY tried.batch_number
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
