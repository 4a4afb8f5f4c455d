-- What Salesforce itself held of the record :salesforce_id whenever a run asked it.
SELECT
    run_id,
    purpose,
    read_at,
    modified_at,
    modified_by,
    unreadable,
    {{ fields.features | map(attribute="column") | join(",\n    ") }}
FROM {{ settings.read_back_table }}
WHERE salesforce_id = :salesforce_id
ORDER BY read_at
