-- What people were asked before the record :salesforce_id was sent, and what they answered: in the backfills that froze it, and in
-- the weekly runs that started one of these to heal. Such a backfill is called healing__<number>__<id of the weekly run>.
WITH runs AS (
    SELECT DISTINCT
        run_id,
        regexp_replace(run_id, '^healing__[0-9]+__', '') AS healed_by
    FROM {{ settings.payload_table }}
    WHERE salesforce_id = :salesforce_id
)

SELECT
    approval.run_id,
    approval.task_id,
    approval.asked_at,
    approval.answer,
    approval.answered_by,
    approval.answered_at,
    approval.reason,
    approval.started_by
FROM {{ settings.approval_table }} AS approval
WHERE
    (approval.dag_id = :backfill_dag_id AND approval.run_id IN (SELECT runs.run_id FROM runs))
    OR (
        approval.dag_id = :weekly_dag_id
        AND approval.run_id IN (SELECT runs.healed_by FROM runs WHERE runs.healed_by <> runs.run_id)
    )
ORDER BY approval.answered_at
