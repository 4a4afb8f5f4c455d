-- What time it is in the warehouse.
SELECT current_timestamp() AS checked_at
