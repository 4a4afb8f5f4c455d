-- The records that the attempt :attempt leaves out, because they were found changed right before it. See sending/check_batch.sql.
SELECT marked.{{ fields.upsert_key.column }}, marked.reason
FROM {{ settings.rejection_table }} AS marked
WHERE
    marked.run_id = :run_id
    AND marked.batch_number = :batch_number
    AND marked.attempt = CAST(:attempt AS INT)
    AND split_part(marked.reason, ':', 1) = 'CHANGED_SINCE_FREEZE'
