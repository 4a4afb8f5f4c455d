-- A payload that must not be sent any more, and cannot be removed because some of it was.
UPDATE {{ settings.payload_table }}
SET released_at = NULL
WHERE run_id = :run_id
