{% from "macros.sql" import description, has_ended, most_products_first %}
-- Records that stay rejected: those that the last attempt at their batch left rejected, if it reached Salesforce.
-- Not those that a probe left for smaller batches. The records of properties with most products come first.
WITH last_sent AS (
    SELECT tried.batch_number, MAX(tried.attempt) AS attempt
    FROM {{ settings.sync_log_table }} AS tried
    WHERE
        tried.run_id = :run_id
        AND {{ has_ended("tried") }}
    GROUP BY tried.batch_number
),

described AS (
{% filter indent(4, first=true) %}{% include "fragments/described_properties.sql" %}{% endfilter +%}
)

SELECT
    rejection.batch_number,
    payload.record_number,
    rejection.{{ fields.upsert_key.column }},
    rejection.reason,
    rejection.attempt,
    payload.salesforce_id,
    {{ description("described") | indent(4) }}
FROM {{ settings.rejection_table }} AS rejection
INNER JOIN last_sent
    ON last_sent.batch_number = rejection.batch_number AND last_sent.attempt = rejection.attempt
INNER JOIN {{ settings.payload_table }} AS payload
    ON payload.run_id = rejection.run_id
    AND payload.batch_number = rejection.batch_number
    AND payload.{{ fields.upsert_key.column }} = rejection.{{ fields.upsert_key.column }}
LEFT JOIN described
    ON described.property_id = payload.{{ fields.property_id.column }}
WHERE rejection.run_id = :run_id
ORDER BY
    {{ most_products_first("described") | indent(4) }},
    payload.{{ fields.property_id.column }},
    payload.record_number
