-- While a person is asked about the pilot, no other batch may be sent.
UPDATE {{ settings.payload_table }}
SET released_at = NULL
WHERE run_id = :run_id AND batch_number > 1
