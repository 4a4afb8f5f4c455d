-- A payload may be frozen again until its first batch is sent. From then on it never changes.
DELETE FROM {{ settings.payload_table }}
WHERE
    run_id = :run_id
    AND NOT EXISTS (SELECT 1 FROM {{ settings.sync_log_table }} AS sync_log WHERE sync_log.run_id = :run_id)
