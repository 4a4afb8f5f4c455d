-- What people were asked in the run :run_id of the DAG :dag_id, and what they answered.
-- :weekly_run_id: the weekly run that it belongs to, or NULL. A weekly run and the backfills that it started to heal are one
-- story. Such a backfill is called healing__<number>__<id of the weekly run>.
SELECT
    approval.run_id,
    approval.task_id,
    approval.question,
    approval.asked_at,
    approval.answer,
    approval.answered_by,
    approval.answered_at
FROM {{ settings.approval_table }} AS approval
WHERE
    (approval.dag_id = :dag_id AND approval.run_id = :run_id)
    OR (approval.dag_id = :weekly_dag_id AND approval.run_id = :weekly_run_id)
    OR (
        approval.dag_id = :backfill_dag_id
        AND approval.run_id <> :weekly_run_id
        AND regexp_replace(approval.run_id, '^healing__[0-9]+__', '') = :weekly_run_id
    )
ORDER BY approval.answered_at, approval.run_id, approval.task_id
