{% set records = "fragments/records_after_pilot.sql" %}
-- Gives the pilot's records the first :batch_size places of the run. The others follow, spread over their batches as in any run.
-- Sentinels come first. Then the strata take turns: each gives its first record, then each its second one, and so on.
-- So every stratum is in the pilot, if it has a place for each.
-- It does nothing once a record has a batch. So executing it twice changes nothing, whatever the properties have become since.
MERGE INTO {{ settings.payload_table }} AS payload
USING (
    WITH strata AS (
{% filter indent(8, first=true) %}{% include "fragments/pilot_strata.sql" %}{% endfilter +%}
    ),

    -- No parent gives a stratum a second record before each has given one: the Flow updates the parent once for each of them.
    shared_out AS (
        SELECT
            strata.*,
            row_number() OVER (
                PARTITION BY strata.stratum.number, COALESCE(strata.parent_id, strata.salesforce_id)
                ORDER BY md5(strata.salesforce_id), strata.salesforce_id
            ) AS sibling
        FROM strata
    ),

    queued AS (
        SELECT
            shared_out.*,
            row_number() OVER (
                PARTITION BY shared_out.stratum.number
                ORDER BY shared_out.sibling, md5(shared_out.salesforce_id), shared_out.salesforce_id
            ) AS turn
        FROM shared_out
    ),

    -- A record that is in several strata comes with the first of its turns. No two records have the same one.
    called AS (
        SELECT
            queued.record_number AS former_number,
            queued.salesforce_id,
            queued.parent_id,
            queued.{{ fields.upsert_key.column }},
            MIN(queued.stratum.number) AS first_stratum,
            MIN(queued.turn * 1000 + queued.stratum.number) AS first_turn
        FROM queued
        GROUP BY queued.record_number, queued.salesforce_id, queued.parent_id, queued.{{ fields.upsert_key.column }}
    ),

    numbered AS (
        SELECT
            called.former_number,
            called.salesforce_id,
            called.parent_id,
            called.{{ fields.upsert_key.column }},
            row_number() OVER (
                ORDER BY CASE WHEN called.first_stratum = 0 THEN 0 ELSE 1 END, called.first_turn
            ) AS place
        FROM called
        WHERE NOT EXISTS (
            SELECT 1
            FROM {{ settings.payload_table }} AS assigned
            WHERE assigned.run_id = :run_id AND assigned.batch_number IS NOT NULL
        )
    ),

    rest AS (
{% filter indent(8, first=true) %}{% include "fragments/placed_records.sql" %}{% endfilter +%}
    )

    SELECT numbered.former_number, numbered.place AS record_number
    FROM numbered
    WHERE numbered.place <= :batch_size
    UNION ALL
    SELECT rest.former_number, rest.record_number + :batch_size AS record_number
    FROM rest
) AS found
    ON payload.run_id = :run_id AND payload.record_number = found.former_number
WHEN MATCHED THEN UPDATE SET record_number = found.record_number
