-- The answers to the questions of one task that were given since :since, the oldest first.
SELECT
    run_id,
    answer,
    answered_by,
    answered_at,
    approves
FROM {{ settings.approval_table }}
WHERE
    dag_id = :dag_id
    AND task_id = :task_id
    AND answered_at >= CAST(:since AS TIMESTAMP)
ORDER BY answered_at
