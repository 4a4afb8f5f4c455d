DELETE FROM {{ settings.read_back_table }} WHERE run_id = :run_id
