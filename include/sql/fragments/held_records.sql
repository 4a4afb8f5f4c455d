-- What Salesforce holds: as it said itself at :asked_at of the records of :run_id, or as the replica shows if :asked_at is NULL.
-- changed_by: who changed the record last, which the replica does not know.
SELECT
    replica.id,
    replica.system_modstamp,
    replica.is_deleted,
    CAST(NULL AS STRING) AS changed_by,
    replica.{{ fields.features | map(attribute="column") | join(",\n    replica.") }}
FROM {{ settings.salesforce_table }} AS replica
WHERE CAST(:asked_at AS STRING) IS NULL
UNION ALL
SELECT
    asked.salesforce_id AS id,
    asked.modified_at AS system_modstamp,
    FALSE AS is_deleted,
    asked.modified_by AS changed_by,
    asked.{{ fields.features | map(attribute="column") | join(",\n    asked.") }}
FROM {{ settings.read_back_table }} AS asked
WHERE asked.run_id = CAST(:run_id AS STRING) AND asked.read_at = CAST(:asked_at AS TIMESTAMP)
