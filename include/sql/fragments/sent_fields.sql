{% from "macros.sql" import differs, was_accepted %}
{% set late = "INTERVAL '" ~ settings.copy_limit_seconds ~ "' SECOND" %}
-- What was sent last of each field of each record, and what became of it: by the run :run_id, or by any run of ours if it is NULL.
-- A record that was left out, because somebody had changed it, was not sent.
-- outcome: accepted or rejected, as Census says. It is NULL if nobody knows: the Census run is still on, or ended without saying so.
-- is_shown: what is compared is the record as it was after that Census run: Salesforce itself was asked, or the replica is so far.
-- See replica/check_replica.sql.
-- is_before_known: a flag that the replica did not know before that run is unknown.
-- has_arrived: some field of the record held something else before, and holds now what was sent. So the record was written.
-- has_field_arrived: this field of some record of that run did so. So the run was able to write this field.
-- Both are asked of rows and not of columns. Spark's optimizer would try every combination of 21 conditions and of the names that
-- they get (SPARK-33152).
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

held AS (
{% filter indent(4, first=true) %}{% include "fragments/held_records.sql" %}{% endfilter +%}
),

replica AS (
    SELECT MAX(system_modstamp) AS changed_at
    FROM {{ settings.salesforce_table }}
),

last_sent AS (
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
        salesforce.changed_by,
        CAST(:asked_at AS STRING) IS NOT NULL
        OR COALESCE(salesforce.system_modstamp > last_tried.run_ended_at, FALSE)
        OR COALESCE(replica.changed_at > last_tried.run_ended_at + {{ late }}, FALSE) AS is_shown,
        explode(
            array(
{% for field in fields.features %}
                struct(
                    '{{ field.column }}' AS field,
                    CAST(payload.{{ field.column }} AS STRING) AS sent_value,
                    CAST(payload.before_{{ field.column }} AS STRING) AS before_value,
                    {{ "payload.before_" ~ field.column ~ " IS NOT NULL" if field.kind == "checkbox" else "TRUE" }} AS is_before_known,
                    {{ differs(field, "payload.before_", "payload.") }}
                    AND salesforce.{{ field.column }} IS NOT DISTINCT FROM payload.{{ field.column }} AS has_arrived
                ){{ "," if not loop.last }}
{% endfor %}
            )
        ) AS each_field
    FROM last_tried
    INNER JOIN {{ settings.payload_table }} AS payload
        ON payload.run_id = last_tried.run_id AND payload.record_number = last_tried.record_number
    LEFT JOIN replica
        ON TRUE
    LEFT JOIN held AS salesforce
        ON salesforce.id = last_tried.salesforce_id
)

SELECT
    salesforce_id,
    run_id,
    run_started_at,
    run_ended_at,
    rejection,
    outcome,
    is_undo,
    changed_at,
    changed_by,
    is_shown,
    each_field.field AS field,
    each_field.sent_value AS sent_value,
    each_field.before_value AS before_value,
    each_field.is_before_known AS is_before_known,
    MAX(each_field.has_arrived) OVER (PARTITION BY salesforce_id) AS has_arrived,
    MAX(each_field.has_arrived) OVER (PARTITION BY run_id, each_field.field) AS has_field_arrived
FROM last_sent
