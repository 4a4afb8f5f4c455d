-- The keys of a run's records, but at most :most of them.
SELECT {{ fields.upsert_key.column }}
FROM {{ settings.payload_table }}
WHERE run_id = :run_id
ORDER BY record_number
LIMIT :most
