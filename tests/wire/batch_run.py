"""The batches of a run as Airflow executes them: one try of a task after another, each with what it leaves in Airflow."""

import json
from types import SimpleNamespace
from typing import Any

from feature_sync.sending.operators import UNRECORDED, CensusBatchOperator
from tests.wire.campaign import Campaign


class BatchRun:
    """The batches of a run as Airflow has them: each instance of ``send`` may leave one XCom."""

    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign
        self.left: dict[int, Any] = {}

    def send(
        self,
        number: int,
        *,
        generation: int = 0,
        on_batch_failure: str = "continue",
        most: int = 3,
        is_probe: bool = False,
    ) -> dict[str, Any]:
        """One try of a batch's task. As Airflow does, it removes what an earlier try has left."""
        self.left.pop(number, None)

        def push(key: str, value: Any) -> None:
            left = json.loads(json.dumps(value))
            if key == UNRECORDED:  # all else is for the page
                self.left[number] = left

        ti = SimpleNamespace(
            dag_id="dag",
            run_id=self.campaign.run_id,
            task_id="batch.send",
            max_tries=3 + generation,
            try_number=1,
            xcom_push=push,
        )
        task = CensusBatchOperator(
            task_id="send",
            batch=self.campaign.batches[number - 1].as_xcom(),
            wait_seconds="0",
            on_batch_failure=on_batch_failure,
            max_consecutive_failures=str(most),
            retries=3,
            is_probe=is_probe,
            patience=self.campaign.patience,
        )
        return task.execute({"ti": ti})  # type: ignore[arg-type]
