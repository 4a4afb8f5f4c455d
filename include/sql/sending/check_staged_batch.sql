SELECT
    COUNT(*) AS records,
    COUNT_IF(run_id = :run_id AND batch_number = :batch_number) AS records_of_batch
FROM {{ settings.batch_table }}
