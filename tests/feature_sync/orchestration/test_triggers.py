"""What ends the wait for another DAG run; tests/live deletes a real one."""

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse

from feature_sync.orchestration import triggers
from feature_sync.orchestration.triggers import RunEndTrigger
from tests.wire.firing import fire


class Looks:
    """What Airflow says, look by look; the last answer stays."""

    def __init__(self, *answers: str | Exception | None) -> None:
        self.answers = list(answers)
        self.asked = 0

    def __call__(self, dag_id: str, run_id: str) -> str | None:
        assert (dag_id, run_id) == ("a_dag", "a_run")
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if isinstance(answer, Exception):
            raise answer
        return answer


UNREACHABLE = AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR))


@pytest.mark.parametrize(
    ("answers", "looks"),
    [
        pytest.param(("queued", "running", "success"), 3, id="success"),
        pytest.param(("running", "failed"), 2, id="failed"),
        pytest.param(("running", None), 2, id="deleted"),
        pytest.param(("running", UNREACHABLE, UNREACHABLE, "running", "success"), 5, id="nobody-answers-for-a-while"),
    ],
)
def test_it_fires_when_the_run_has_ended_or_is_gone(
    monkeypatch: pytest.MonkeyPatch, answers: tuple[str | Exception | None, ...], looks: int
) -> None:
    said = Looks(*answers)
    monkeypatch.setattr(triggers, "run_state", said)

    event = fire(RunEndTrigger("a_dag", "a_run", 0.01), seconds=10)

    assert event.payload == {"run_id": "a_run"}
    assert said.asked == looks
