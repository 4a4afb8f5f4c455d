-- The records that have no place in the first batch. `numbered` has all of them in the order of the choice.
SELECT
    numbered.former_number,
    numbered.salesforce_id,
    numbered.parent_id,
    numbered.{{ fields.upsert_key.column }}
FROM numbered
WHERE numbered.place > :batch_size
