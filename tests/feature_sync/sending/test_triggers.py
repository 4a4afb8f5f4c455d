"""Which batches a batch waits for."""

from typing import Any

import pytest

from feature_sync.orchestration import dag_runs
from feature_sync.sending.triggers import BatchTurnTrigger

RUN = {"dag_id": "dag", "run_id": "run", "map_index": 2, "send_task_id": "batch.send"}


class Airflow:
    """Answers for the tasks of one run."""

    def __init__(self, *states: str | None) -> None:
        self.states = {f"batch.send_{index}": state for index, state in enumerate(states)}

    def get_task_states(self, dag_id: str, run_ids: list[str], task_ids: list[str]) -> dict[str, dict[str, str | None]]:
        assert (dag_id, run_ids, task_ids) == ("dag", ["run"], ["batch.send"])
        return {"run": self.states}


def trigger(**changes: Any) -> BatchTurnTrigger:
    return BatchTurnTrigger(**RUN | {"sync_id": 7, "wait_seconds": 0, "poll_seconds": 0.1} | changes)


@pytest.mark.parametrize(
    ("states", "ahead"),
    [
        pytest.param(("success", "success"), 0, id="both-have-succeeded"),
        *(pytest.param(("success", end), 0, id=end) for end in ("failed", "upstream_failed", "skipped", "removed")),
        *(
            pytest.param(("success", state), 1, id=str(state))
            for state in (None, "scheduled", "queued", "running", "deferred", "up_for_retry")
        ),
        pytest.param(("running", "scheduled", "running", "running"), 2, id="those-behind-do-not-count"),
        pytest.param((), 2, id="airflow-knows-none-of-them"),
    ],
)
def test_lower_batches_that_have_not_ended_are_ahead(
    monkeypatch: pytest.MonkeyPatch, states: tuple[str | None, ...], ahead: int
) -> None:
    monkeypatch.setattr(dag_runs, "RuntimeTaskInstance", Airflow(*states))

    assert trigger().count_ahead() == ahead


def test_a_trigger_is_built_again_from_what_airflow_stores() -> None:
    path, arguments = trigger().serialize()

    again = BatchTurnTrigger(**arguments)

    assert path == "feature_sync.sending.triggers.BatchTurnTrigger"
    assert again.serialize() == (path, arguments)
    assert arguments == RUN | {"sync_id": 7, "wait_seconds": 0, "poll_seconds": 0.1}
