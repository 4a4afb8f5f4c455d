-- How far the replica has caught up with the records that a run sent, or that every run sent if :run_id is NULL.
-- Each accepted record counts with the Census run that wrote it last. Its row in the replica is up to date in either of two cases:
-- * The row changed since that run started. Salesforce keeps system_modstamp in whole seconds.
-- * The replica holds any change made after that run ended. The replication follows the order of changes, so the row is then what
--   Salesforce held at the end of the run, changed or not.
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
        (attempted.records_rejected IS NOT NULL OR attempted.status = 'accepted_by_counters')
        AND (CAST(:run_id AS STRING) IS NULL OR attempted.run_id = CAST(:run_id AS STRING))
    QUALIFY row_number() OVER (PARTITION BY attempted.run_id, attempted.record_number ORDER BY attempted.attempt DESC) = 1
),

-- If nothing was sent, this is one row without a record, so that synced_at is still there.
shown AS (
    SELECT
        replica.synced_at,
        last_written.salesforce_id,
        last_written.run_ended_at,
        COALESCE(salesforce.system_modstamp >= date_trunc('SECOND', last_written.run_started_at), FALSE) AS has_changed_row,
        COALESCE(replica.changed_at > last_written.run_ended_at, FALSE) AS has_later_change
    FROM replica
    LEFT JOIN last_written
        ON TRUE
    LEFT JOIN {{ settings.salesforce_table }} AS salesforce
        ON salesforce.id = last_written.salesforce_id
)

SELECT
    COUNT(salesforce_id) AS records_sent,
    COUNT_IF(salesforce_id IS NOT NULL AND NOT has_changed_row AND NOT has_later_change) AS records_stale,
    MAX(synced_at) AS synced_at,
    MAX(run_ended_at) AS last_sent_at,
    current_timestamp() AS checked_at
FROM shown
