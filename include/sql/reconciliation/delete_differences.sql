-- The differences of an earlier look of this run, and those of runs that have ended: no run is active for a week.
DELETE FROM {{ settings.difference_table }}
WHERE run_id = :run_id OR compared_at < current_timestamp() - INTERVAL 7 DAYS
