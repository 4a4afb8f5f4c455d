-- The last attempt at the batch :batch_number of a run, or at each of its batches if :batch_number is NULL.
-- batch_records: how many records the largest attempt at the batch sent.
SELECT
    COALESCE(closed_at, opened_at) AS seen_at,
    MAX(records) OVER (PARTITION BY batch_number) AS batch_records
{%- for column in columns_of("sync_log") %},
    {{ column.name }}
{%- endfor +%}
FROM {{ settings.sync_log_table }}
WHERE run_id = :run_id AND (:batch_number IS NULL OR batch_number = CAST(:batch_number AS INT))
QUALIFY row_number() OVER (PARTITION BY batch_number ORDER BY attempt DESC) = 1
ORDER BY batch_number
