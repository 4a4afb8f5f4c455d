"""The one line that says what happens now, and why it waits."""

from typing import Any

import pytest

from feature_sync.page.batches import read_batches
from feature_sync.page.facts import Instance, Question, RunFacts
from feature_sync.page.headline import ASKS, FAILED, GOOD, WAITS_NOW, WORKS, Headline, headline
from feature_sync.page.progress import progress_of
from feature_sync.page.summary import summary_of
from tests.feature_sync.page.runs import NOW, TURN, minutes, outcome, run

FOUND: dict[str, Any] = {"found": {"result": "0 properties with mismatched feature data"}}


def line(facts: RunFacts, wait_seconds: float = 150) -> Headline:
    return headline(facts, read_batches(facts), wait_seconds)


class TestNow:
    def test_a_question_comes_before_everything_else(self) -> None:
        asked = Question("confirm_flow_on", -1, "Is the Flow on?", minutes(30))

        assert line(run("running", questions=[asked])) == Headline(
            ASKS, "A question waits for an answer: Is the Flow on?", "Asked at 11:30:00 UTC."
        )

    def test_a_paused_dag_is_why_nothing_goes_on(self) -> None:
        assert line(run("running", is_paused=True)).kind == ASKS

    def test_a_batch_is_being_sent(self) -> None:
        facts = run("running", None, left={0: {"sent": {"sync_run_id": 28}}})

        assert line(facts) == Headline(WORKS, "batch 001: records ...: is being sent by Census run 28.")

    def test_a_batch_waits_for_the_pause_after_the_one_before(self) -> None:
        facts = run("success", None, left={0: outcome("succeeded")}, tasks=(Instance(TURN, 1, "deferred"),))

        assert line(facts, wait_seconds=900) == Headline(
            WAITS_NOW,
            "batch 002: records ...: waits for its turn.",
            "The pause of 900 s after batch 001 is over at 12:05:00 UTC.",
        )

    def test_when_the_pause_is_over_the_reason_is_what_the_task_said(self) -> None:
        noted = {(TURN, 1): {"waits_for": {"reason": "Census run 9 of sync 77 is working"}}}
        facts = run("success", None, left={0: outcome("succeeded")}, tasks=(Instance(TURN, 1, "deferred"),), notes=noted)

        assert line(facts, wait_seconds=1).why == "Census run 9 of sync 77 is working."

    @pytest.mark.parametrize(
        ("state", "said"),
        [
            ("running", "is running since 11:59:00 UTC."),
            ("deferred", "waits."),
            ("queued", "is queued."),
            ("up_for_retry", "its last try failed."),
        ],
    )
    def test_another_task(self, state: str, said: str) -> None:
        facts = run(tasks=(Instance("wait_for_copy", -1, state, minutes(1)),))

        assert line(facts).text == f"wait_for_copy: {said}"


class TestEnd:
    def test_a_good_run_says_its_verdict(self) -> None:
        assert line(run(state="success", notes={("validate", -1): FOUND})) == Headline(
            GOOD, "0 properties with mismatched feature data."
        )

    def test_a_dry_run_says_that_nothing_was_sent(self) -> None:
        assert line(run(state="success", config={"dry_run": True})).text == "A dry run: nothing was sent."

    def test_a_run_that_has_planned_batches_was_no_dry_run_whatever_the_default_is(self) -> None:
        facts = run("success", state="success", left={0: outcome("succeeded")})

        assert line(facts).text == "The run has ended well."
        assert summary_of(facts)["dry_run"] is False

    def test_a_run_without_a_verdict_says_why(self) -> None:
        facts = run(state="failed", note="mine\n\nNo verdict: validate ran too early. Clear it.")

        assert line(facts) == Headline(FAILED, "The run has no verdict.", "validate ran too early. Clear it.")

    def test_a_failed_batch_says_its_reason(self) -> None:
        facts = run("failed", "success", state="failed", left={0: outcome("failed", 3), 1: outcome("succeeded")})

        assert line(facts) == Headline(FAILED, "1 batch failed.", "said")

    def test_another_failed_task_is_named(self) -> None:
        facts = run(state="failed", tasks=(Instance("check_payload", -1, "failed", ended_at=NOW),))

        assert line(facts) == Headline(FAILED, "check_payload failed.", "The log of check_payload says why.")

    def test_red_without_a_red_task_is_said(self) -> None:
        assert line(run(state="failed")).text == "The run failed."


class TestEstimate:
    def test_a_run_that_needs_a_person_has_no_end_in_sight(self) -> None:
        asked = Question("confirm_flow_on", -1, "Is the Flow on?", minutes(30))

        assert progress_of(run("running", None, questions=[asked]))["estimate"] is None
        assert progress_of(run("running", None))["estimate"] is not None
