{% from "macros.sql" import was_accepted %}
-- Every run that froze the record :salesforce_id, once for each attempt that was to send it, in the order of time.
-- attempt is NULL if the run never tried. is_rejected: the attempt left it rejected.
WITH tried AS (
{% filter indent(4, first=true) %}{% include "fragments/tried_records.sql" %}{% endfilter +%}
)

SELECT
    payload.run_id,
    payload.record_number,
    payload.batch_number,
    payload.frozen_at,
    payload.released_at,
    payload.is_undo,
{% for field in fields.features %}
    payload.{{ field.column }},
    payload.before_{{ field.column }},
{% endfor %}
    tried.attempt,
    tried.status,
    tried.sync_run_id,
    {{ was_accepted("tried") }} AS was_accepted,
    tried.opened_at,
    tried.run_started_at,
    tried.run_ended_at,
    tried.is_rejected,
    tried.rejection
FROM {{ settings.payload_table }} AS payload
LEFT JOIN tried
    ON tried.salesforce_id = payload.salesforce_id
    AND tried.run_id = payload.run_id
    AND tried.record_number = payload.record_number
WHERE payload.salesforce_id = :salesforce_id
ORDER BY payload.frozen_at, payload.run_id, tried.attempt
