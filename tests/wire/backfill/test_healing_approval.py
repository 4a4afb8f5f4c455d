"""What a person has approved in the weekly run is not asked for again in the backfill that heals, and goes no further."""

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from feature_sync.backfill.payload import CheckedPayload, check_payload, freeze_payload
from feature_sync.config.problems import GuardError
from feature_sync.config.settings import load_settings
from feature_sync.orchestration.approvals import keep_answer
from feature_sync.storage.evidence import Answer
from tests.sandbox.client import Sandbox
from tests.wire.backfill.payloads import records_left, records_released

ALLOWED = {"allow_mass_disable": True}
FRAUD = "fraud_detection"


class Healing:
    """A backfill that would turn Fraud Detection off for 3 of 20 records, and the weekly run that may have started it."""

    def __init__(self, sandbox: Sandbox, ids: list[str]) -> None:
        self.weekly = f"scheduled__{uuid.uuid4()}"
        self.run_id = f"healing__0__{self.weekly}"
        freeze_payload({"scope": "property_ids", "property_ids": ids}, self.run_id)
        enabled = next(each for each in load_settings().fields.products if each.name == FRAUD).enabled.column
        sandbox.sql(
            f"UPDATE {load_settings().payload_table} SET before_{enabled} = TRUE, {enabled} = FALSE "
            f"WHERE run_id = '{self.run_id}' AND record_number <= 3"
        )

    def answer(self, answer: str = "Approve", *, days: int = 0, task: str = "approve_healing", **numbers: Any) -> None:
        given = {"records": 20, "to_disable": {FRAUD: 3}} | numbers
        at = datetime.now(UTC) - timedelta(days=days)
        dag = "product_feature_reconciliation"
        keep_answer(Answer(self.weekly, dag, task, "?", at, answer, "ada", at, approves=json.dumps(given)))

    def check(self, heals: Callable[[str], bool] | None = None) -> CheckedPayload:
        return check_payload(ALLOWED, self.run_id, heals or self.weekly.__eq__)


@pytest.fixture
def healing(sandbox: Sandbox, incident_ids: list[str]) -> Healing:
    return Healing(sandbox, incident_ids)


def test_what_was_approved_is_released_without_another_question(healing: Healing, sandbox: Sandbox) -> None:
    healing.answer()

    assert healing.check().approval is None
    assert records_released(sandbox, healing.run_id) == 20


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"to_disable": {FRAUD: 2}}, "ada has approved in run {run} of the weekly DAG to turn Fraud Detection off for 2 records"),
        ({"to_disable": {}}, "to turn Fraud Detection off for 0 records, but it would be 3. Start a new run of that DAG."),
        ({"records": 19}, "to send 19 records, but the payload has 20. Start a new run of that DAG."),
    ],
)
def test_what_goes_beyond_it_is_refused_and_nothing_can_be_sent(
    healing: Healing, sandbox: Sandbox, numbers: dict[str, Any], said: str
) -> None:
    healing.answer(**numbers)

    with pytest.raises(GuardError) as refused:
        healing.check()

    [problem] = refused.value.problems
    assert problem.startswith("mass_disable: ")
    assert said.format(run=healing.weekly) in problem
    assert records_left(sandbox, healing.run_id) == 0


def test_a_later_no_counts(healing: Healing, sandbox: Sandbox) -> None:
    healing.answer()
    healing.answer("Reject")

    assert healing.check().approval
    assert records_released(sandbox, healing.run_id) == 0


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"answer": "nobody answered in time"}, id="silence"),
        pytest.param({"days": 8}, id="long-ago"),
        pytest.param({"task": "approve_mass_disable"}, id="another-question"),
        pytest.param({"records": None}, id="no-numbers"),
        pytest.param({"to_disable": None}, id="no-products"),
    ],
)
def test_anything_else_is_asked_for(healing: Healing, options: dict[str, Any]) -> None:
    healing.answer(**options)

    assert healing.check().approval


def test_a_run_that_the_weekly_run_did_not_start_is_asked_about_whatever_it_is_called(healing: Healing) -> None:
    healing.answer()

    assert healing.check(lambda _: False).approval


def test_without_the_parameter_of_a_healing_nothing_is_released(healing: Healing) -> None:
    healing.answer()

    with pytest.raises(GuardError):
        check_payload({}, healing.run_id, healing.weekly.__eq__)
