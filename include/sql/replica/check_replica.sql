{% from "macros.sql" import all_of, was_accepted, was_contradicted %}
{% set late = "INTERVAL '" ~ settings.copy_limit_seconds ~ "' SECOND" %}
-- How far the replica has caught up with the records that a run sent, or that every run sent if :run_id is NULL.
-- Each accepted record counts with the Census run that wrote it last. The replication may bring a later change of another record
-- first, so only the record's own row is proof. It is up to date in either of two cases:
-- * The row changed after that run ended. A row is replicated whole, so it is then what the run wrote, and what came later.
--   Salesforce keeps system_modstamp in whole seconds.
-- * The row holds exactly what was sent. If it was so before, the write changed nothing.
-- A row that changed while the run was on, and holds something else, is no proof: the change may have come before the write.
-- A record is given up if the replica holds a change from long after that run: the replication has passed it, and did not bring it.
-- So is a record of a batch of this run that was read back from Salesforce and differs. The run has failed, and whoever repairs it
-- need not wait: after a lost write no newer row would ever come.
-- Records that were accepted by counters are waited for too: only Census's row records are missing.
-- Rejected records are not waited for. They changed nothing, so no newer row would ever come.
WITH replica AS (
    SELECT MAX(system_modstamp) AS changed_at, MAX(_fivetran_synced) AS synced_at
    FROM {{ settings.salesforce_table }}
),

attempted AS (
{% filter indent(4, first=true) %}{% include "fragments/attempted_records.sql" %}{% endfilter +%}
),

last_written AS (
    SELECT attempted.*
    FROM attempted
    WHERE
        {{ was_accepted("attempted") }}
        AND (CAST(:run_id AS STRING) IS NULL OR attempted.run_id = CAST(:run_id AS STRING))
    QUALIFY row_number() OVER (PARTITION BY attempted.run_id, attempted.record_number ORDER BY attempted.attempt DESC) = 1
),

-- If nothing was sent, this is one row without a record, so that synced_at is still there.
shown AS (
    SELECT
        replica.synced_at,
        last_written.salesforce_id,
        last_written.run_ended_at,
        COALESCE(salesforce.system_modstamp > last_written.run_ended_at, FALSE) AS has_changed_since,
        salesforce.id IS NOT NULL
        AND {{ all_of(fields.features, "salesforce.{} IS NOT DISTINCT FROM payload.{}") | indent(8) }}
        AS holds_what_was_sent,
        COALESCE(replica.changed_at > last_written.run_ended_at + {{ late }}, FALSE)
        OR (CAST(:run_id AS STRING) IS NOT NULL AND {{ was_contradicted("last_written") }})
        AS is_given_up
    FROM replica
    LEFT JOIN last_written
        ON TRUE
    LEFT JOIN {{ settings.payload_table }} AS payload
        ON payload.run_id = last_written.run_id AND payload.record_number = last_written.record_number
    LEFT JOIN {{ settings.salesforce_table }} AS salesforce
        ON salesforce.id = last_written.salesforce_id
)

SELECT
    COUNT(salesforce_id) AS records_sent,
    COUNT_IF(
        salesforce_id IS NOT NULL AND NOT has_changed_since AND NOT holds_what_was_sent AND NOT is_given_up
    ) AS records_stale,
    MAX(synced_at) AS synced_at,
    MAX(run_ended_at) AS last_sent_at,
    current_timestamp() AS checked_at
FROM shown
