-- Upper bound for the Census run that an attempt may have started without learning its id: the newest run that existed when the
-- next attempt, at any batch, was about to trigger. NULL if no attempt followed.
SELECT MIN(newer.previous_sync_run_id) AS newest_possible_run_id
FROM {{ settings.sync_log_table }} AS ours
INNER JOIN {{ settings.sync_log_table }} AS newer
    ON newer.opened_at > ours.opened_at
WHERE ours.run_id = :run_id AND ours.batch_number = :batch_number AND ours.attempt = :attempt
