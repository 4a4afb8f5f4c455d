"""The tasks that send one batch, as a group to map over a plan. Batches and probes are sent the same way."""

from typing import Any

from airflow.sdk import TriggerRule, task_group

from feature_sync.config.names import CENSUS_POOL
from feature_sync.sending.operators import BATCH_NAME, CensusBatchOperator
from feature_sync.sending.sensors import BatchTurnSensor


def sending_group(group_id: str, *, is_probe: str | bool) -> Any:
    """
    The tasks of a batch. Mapped over a plan, they send its batches one after another.

    :param is_probe: whether the batches test their size, or a template that says so.
    """

    @task_group(group_id=group_id)
    def group(batch: dict) -> None:
        shared: dict[str, Any] = {
            "batch": batch,
            "wait_seconds": "{{ params.wait_seconds }}",
            "map_index_template": f"{{{{ {BATCH_NAME} | default(task.batch.label) }}}}",
        }
        wait_for_turn = BatchTurnSensor(
            task_id="wait_for_turn",
            send_task_id=f"{group_id}.send",
            trigger_rule=TriggerRule.NONE_FAILED,  # the question before the probes may be skipped
            max_active_tis_per_dagrun=1,  # one batch waits for its turn; those behind it have not begun and cost nothing
            priority_weight=1,
            weight_rule="absolute",
            **shared,
        )
        send = CensusBatchOperator(
            task_id="send",
            is_probe=is_probe,
            on_batch_failure="{{ params.on_batch_failure }}",
            max_consecutive_failures="{{ params.max_consecutive_failures }}",
            pool=CENSUS_POOL,
            priority_weight=100,  # the batch whose turn it is starts before the sensor of the next one
            weight_rule="absolute",
            **shared,
        )
        wait_for_turn >> send

    return group
