"""What a task may ask Airflow about DAG runs, its own and others."""

from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

UNFINISHED = ["queued", "running"]


def is_unfinished(dag_id: str, run_id: str) -> bool:
    """Whether a DAG run is queued or running. A run that was deleted, or never was, is not."""
    return RuntimeTaskInstance.get_dr_count(dag_id=dag_id, run_ids=[run_id], states=UNFINISHED) > 0
