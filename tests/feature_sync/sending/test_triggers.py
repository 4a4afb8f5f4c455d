"""Which batches a batch waits for."""

from collections import Counter
from typing import Any

import pytest

from feature_sync.orchestration import dag_runs
from feature_sync.sending.triggers import BatchTurn, BatchTurnTrigger

RUN = {"dag_id": "dag", "run_id": "run", "map_index": 2, "send_task_id": "batch.send", "turn_task_id": "batch.wait_for_turn"}


class Airflow:
    """Answers for the tasks of one run: the states of the sensors, and of the tasks that send."""

    def __init__(self, turns: str, sends: str) -> None:
        self.states = {"batch.wait_for_turn": turns.split(), "batch.send": sends.split()}
        self.asked = 0

    def get_ti_count(self, dag_id: str, run_ids: list[str], task_ids: list[str], states: list[str]) -> int:
        assert (dag_id, run_ids) == ("dag", ["run"])
        self.asked += 1
        [task_id] = task_ids
        counts = Counter(self.states[task_id])
        return sum(counts[state] for state in states)


def trigger(**changes: Any) -> BatchTurnTrigger:
    return BatchTurnTrigger(**RUN | {"sync_id": 7, "wait_seconds": 0, "poll_seconds": 0.1} | changes)


def turn() -> BatchTurn:
    return BatchTurn("dag", "run", "batch.wait_for_turn", "batch.send", 0, writers=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("turns", "sends", "ahead"),
    [
        pytest.param("success success running", "success success -", 0, id="both-have-succeeded"),
        *(
            pytest.param(f"success {turn} running", f"success {end} -", 0, id=f"turn-{turn}-send-{end}")
            for turn, end in [
                ("success", "failed"),
                ("failed", "upstream_failed"),
                ("skipped", "skipped"),
                ("removed", "removed"),
            ]
        ),
        *(pytest.param("success success running", f"success {state} -", 1, id=state) for state in dag_runs.BUSY),
        pytest.param("success success running", "success - -", 1, id="its-turn-has-come-but-airflow-has-not-scheduled-it"),
        pytest.param("success success deferred scheduled", "success success - -", 0, id="those-behind-have-not-begun"),
        pytest.param("success success deferred success", "success success - running", 1, id="a-later-one-was-cleared"),
        pytest.param("scheduled success deferred", "- success -", 0, id="a-lower-one-was-cleared-and-waits-for-this-one"),
        pytest.param("scheduled success running", "success running -", 1, id="only-the-sensor-of-a-lower-one-was-cleared"),
        pytest.param("running", "-", 0, id="the-first-one"),
    ],
)
def test_batches_whose_turn_has_come_and_that_have_not_ended_are_ahead(
    monkeypatch: pytest.MonkeyPatch, turns: str, sends: str, ahead: int
) -> None:
    monkeypatch.setattr(dag_runs, "RuntimeTaskInstance", Airflow(turns, sends))

    assert turn().count_ahead() == ahead


def test_a_look_asks_as_little_about_a_thousand_batches_as_about_three(monkeypatch: pytest.MonkeyPatch) -> None:
    airflow = Airflow(" ".join(["success", "deferred", *["scheduled"] * 998]), " ".join(["running", *["-"] * 999]))
    monkeypatch.setattr(dag_runs, "RuntimeTaskInstance", airflow)

    pause = turn().look()

    assert pause is not None
    assert "1 batch ahead in this run, my turn about" in pause.reason
    assert airflow.asked == 3


def test_a_trigger_is_built_again_from_what_airflow_stores() -> None:
    path, arguments = trigger().serialize()

    again = BatchTurnTrigger(**arguments)

    assert path == "feature_sync.sending.triggers.BatchTurnTrigger"
    assert again.serialize() == (path, arguments)
    assert arguments == RUN | {"sync_id": 7, "wait_seconds": 0, "poll_seconds": 0.1}
