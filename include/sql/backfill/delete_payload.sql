DELETE FROM {{ settings.payload_table }} WHERE run_id = :run_id
