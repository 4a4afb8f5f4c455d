{% from "macros.sql" import all_of, was_accepted %}
{% set late = "INTERVAL '" ~ settings.copy_limit_seconds ~ "' SECOND" %}
{% set longest_run = "INTERVAL '" ~ settings.census_run_limit_seconds ~ "' SECOND" %}
-- Other runs that have frozen records of this run and come before it. Whether they may still send them, Airflow knows.
-- A run that has batches comes before one that has none yet. Otherwise the one that was frozen earlier comes first.
-- So of two runs that freeze at once, at most one comes through if each asks twice: before it has batches, and after.
-- records: those that both runs have.
-- records_in_flight: an attempt of the other run at them is open, and is so young that its Census run may still write.
-- records_not_shown: the other run wrote them lately, and the replica does not show it, so they may look different than they are,
-- and what an undo would have to restore is not known.
WITH own AS (
    SELECT salesforce_id, frozen_at, batch_number
    FROM {{ settings.payload_table }}
    WHERE run_id = :run_id
),

shared AS (
    SELECT
        own.frozen_at,
        other.run_id,
        other.record_number,
        other.salesforce_id,
        other.{{ fields.features | map(attribute="column") | join(",\n        other.") }}
    FROM own
    INNER JOIN {{ settings.payload_table }} AS other
        ON other.salesforce_id = own.salesforce_id
    WHERE
        other.run_id <> :run_id
        AND (
            (own.batch_number IS NULL AND other.batch_number IS NOT NULL)
            OR other.frozen_at < own.frozen_at
            OR (other.frozen_at = own.frozen_at AND other.run_id < :run_id)
        )
),

attempted AS (
{% filter indent(4, first=true) %}{% include "fragments/attempted_records.sql" %}{% endfilter +%}
),

noted AS (
    SELECT
        shared.run_id,
        shared.salesforce_id,
        MAX(
            COALESCE(attempted.status = 'sending' AND attempted.opened_at + {{ longest_run }} >= current_timestamp(), FALSE)
        ) AS is_in_flight,
        MAX(
            COALESCE(
                {{ was_accepted("attempted") }}
                AND attempted.run_ended_at + {{ late }} >= shared.frozen_at
                AND NOT COALESCE(salesforce.system_modstamp > attempted.run_ended_at, FALSE)
                AND NOT (
                    {{ all_of(fields.features, "salesforce.{} IS NOT DISTINCT FROM shared.{}") | indent(20) }}
                ),
                FALSE
            )
        ) AS is_not_shown
    FROM shared
    LEFT JOIN attempted
        ON attempted.run_id = shared.run_id AND attempted.record_number = shared.record_number
    LEFT JOIN {{ settings.salesforce_table }} AS salesforce
        ON salesforce.id = shared.salesforce_id
    GROUP BY shared.run_id, shared.salesforce_id
)

SELECT
    run_id,
    COUNT(*) AS records,
    COUNT_IF(is_in_flight) AS records_in_flight,
    COUNT_IF(is_not_shown) AS records_not_shown
FROM noted
GROUP BY run_id
ORDER BY run_id
