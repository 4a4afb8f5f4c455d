DELETE FROM {{ settings.rejection_table }} WHERE run_id = :run_id
