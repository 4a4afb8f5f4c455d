SELECT
    {{ fields | map(attribute="column") | join(",\n    ") }}
FROM {{ settings.payload_table }}
WHERE run_id = :run_id
ORDER BY record_number
