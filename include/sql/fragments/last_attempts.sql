-- The last attempt at each batch of a run. batch_records: how many records the largest attempt at the batch sent.
SELECT
    COALESCE(closed_at, opened_at) AS seen_at,
    MAX(records) OVER (PARTITION BY batch_number) AS batch_records
{%- for column in columns_of("sync_log") %},
    {{ column.name }}
{%- endfor +%}
FROM {{ settings.sync_log_table }}
WHERE run_id = :run_id
QUALIFY row_number() OVER (PARTITION BY batch_number ORDER BY attempt DESC) = 1
