SELECT
    {{ fields | map(attribute="column") | join(",\n    ") }}
FROM {{ settings.payload_table }}
WHERE run_id = :run_id AND batch_number = :batch_number
ORDER BY record_number
