SELECT current_timestamp() AS compared_at
