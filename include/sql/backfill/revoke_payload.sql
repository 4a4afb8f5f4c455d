-- The payload must not be sent any more. It cannot be deleted, because some of it was sent.
UPDATE {{ settings.payload_table }}
SET released_at = NULL
WHERE run_id = :run_id
