-- From now on the payload may be sent: every check has passed, and who had to approve it has.
UPDATE {{ settings.payload_table }}
SET released_at = current_timestamp()
WHERE run_id = :run_id AND released_at IS NULL
