-- From now on the payload may be sent. Every check has passed, and a person has approved it if that was required.
UPDATE {{ settings.payload_table }}
SET released_at = current_timestamp()
WHERE run_id = :run_id AND released_at IS NULL
