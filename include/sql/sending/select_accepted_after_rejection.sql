{% from "macros.sql" import description, has_ended, most_products_first, was_accepted %}
-- Records that some attempt left rejected, and that the last attempt which sent them brought through: what select_rejections.sql
-- shows no more. Once for each record, with its first rejection.
-- A probe's rejected records may have been accepted in a smaller batch. So the batch that was accepted may be another one.
WITH tried AS (
{% filter indent(4, first=true) %}{% include "fragments/tried_records.sql" %}{% endfilter +%}
),

last_tried AS (
    SELECT tried.*
    FROM tried
    WHERE
        tried.run_id = :run_id
        AND {{ has_ended("tried") }}
    QUALIFY row_number() OVER (
        PARTITION BY tried.record_number
        ORDER BY tried.opened_at DESC, tried.attempt DESC
    ) = 1
),

first_rejected AS (
    SELECT
        rejection.batch_number,
        rejection.attempt,
        rejection.{{ fields.upsert_key.column }},
        rejection.reason
    FROM {{ settings.rejection_table }} AS rejection
    LEFT JOIN {{ settings.sync_log_table }} AS rejecting
        ON rejecting.run_id = rejection.run_id
        AND rejecting.batch_number = rejection.batch_number
        AND rejecting.attempt = rejection.attempt
    WHERE rejection.run_id = :run_id
    QUALIFY row_number() OVER (
        PARTITION BY rejection.{{ fields.upsert_key.column }}
        ORDER BY rejecting.opened_at NULLS LAST, rejection.batch_number, rejection.attempt
    ) = 1
),

described AS (
{% filter indent(4, first=true) %}{% include "fragments/described_properties.sql" %}{% endfilter +%}
)

SELECT
    first_rejected.batch_number,
    payload.record_number,
    payload.{{ fields.upsert_key.column }},
    first_rejected.reason,
    first_rejected.attempt,
    payload.batch_number AS accepted_batch_number,
    last_tried.attempt AS accepted_attempt,
    last_tried.run_ended_at AS accepted_at,
    payload.salesforce_id,
    {{ description("described") | indent(4) }}
FROM last_tried
INNER JOIN {{ settings.payload_table }} AS payload
    ON payload.run_id = last_tried.run_id AND payload.record_number = last_tried.record_number
INNER JOIN first_rejected
    ON first_rejected.{{ fields.upsert_key.column }} = payload.{{ fields.upsert_key.column }}
LEFT JOIN described
    ON described.property_id = payload.{{ fields.property_id.column }}
WHERE
    NOT last_tried.is_rejected
    AND {{ was_accepted("last_tried") }}
ORDER BY
    {{ most_products_first("described") | indent(4) }},
    payload.{{ fields.property_id.column }},
    payload.record_number
