-- From now on the first batch may be sent, and no other. Every check has passed, and a person has approved it if that was required.
UPDATE {{ settings.payload_table }}
SET released_at = current_timestamp()
WHERE run_id = :run_id AND batch_number = 1 AND released_at IS NULL
