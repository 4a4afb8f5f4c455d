{% from "macros.sql" import differs, was_accepted %}
{% set late = "INTERVAL '" ~ settings.copy_limit_seconds ~ "' SECOND" %}
{% macro has_arrived(field) -%}
{{ differs(field, "payload.before_", "payload.") }}
AND salesforce.{{ field.column }} IS NOT DISTINCT FROM payload.{{ field.column }}
{%- endmacro %}
-- What was sent last to each record, and what became of it: by the run :run_id, or by any run of ours if it is NULL.
-- A record that was left out, because somebody had changed it, was not sent.
-- outcome: accepted or rejected, as Census says. It is NULL if nobody knows: the Census run is still on, or ended without saying so.
-- is_shown: the replica shows the record as it was after that Census run. See replica/check_replica.sql.
-- has_arrived: some field of the record held something else before, and holds now what was sent. So the record was written.
-- arrived_x_c: this field of some record of that run did so. So the run was able to write this field.
WITH tried AS (
{% filter indent(4, first=true) %}{% include "fragments/tried_records.sql" %}{% endfilter +%}
),

last_tried AS (
    SELECT tried.*
    FROM tried
    WHERE
        (tried.sync_run_id IS NOT NULL OR tried.status = 'sending')
        AND (tried.rejection IS NULL OR split_part(tried.rejection, ':', 1) <> 'CHANGED_SINCE_FREEZE')
        AND (CAST(:run_id AS STRING) IS NULL OR tried.run_id = CAST(:run_id AS STRING))
    QUALIFY row_number() OVER (
        PARTITION BY tried.salesforce_id
        ORDER BY tried.opened_at DESC, tried.attempt DESC, tried.run_id DESC
    ) = 1
),

replica AS (
    SELECT MAX(system_modstamp) AS changed_at
    FROM {{ settings.salesforce_table }}
)

SELECT
    last_tried.salesforce_id,
    last_tried.run_id,
    last_tried.run_started_at,
    last_tried.run_ended_at,
    last_tried.rejection,
    CASE
        WHEN last_tried.is_rejected THEN 'rejected'
        WHEN {{ was_accepted("last_tried") }} THEN 'accepted'
    END AS outcome,
    payload.is_undo,
    salesforce.system_modstamp AS changed_at,
    COALESCE(salesforce.system_modstamp > last_tried.run_ended_at, FALSE)
    OR COALESCE(replica.changed_at > last_tried.run_ended_at + {{ late }}, FALSE) AS is_shown,
{% for field in fields.features %}
    {{ "OR " if not loop.first }}(
        {{ has_arrived(field) | indent(8) }}
    )
{% endfor %}
    AS has_arrived
{%- for field in fields.features %},
    payload.{{ field.column }},
    payload.before_{{ field.column }},
    MAX(
        {{ has_arrived(field) | indent(8) }}
    ) OVER (PARTITION BY last_tried.run_id) AS arrived_{{ field.column }}
{%- endfor +%}
FROM last_tried
INNER JOIN {{ settings.payload_table }} AS payload
    ON payload.run_id = last_tried.run_id AND payload.record_number = last_tried.record_number
LEFT JOIN replica
    ON TRUE
LEFT JOIN {{ settings.salesforce_table }} AS salesforce
    ON salesforce.id = last_tried.salesforce_id
