"""How a question reaches people, when they are reminded, and which approvals do not count. Pure values in and out."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from feature_sync.backfill.flow_questions import SWITCH_OFF, SWITCH_ON
from feature_sync.config.settings import AlertLevel, ReasonRule, load_settings
from feature_sync.orchestration.questions import (
    ASKED,
    HALF,
    NEARLY,
    REASON,
    STAGES,
    Question,
    due_stage,
    effects_of,
    next_stage_at,
    reason_field,
    reason_of,
    reason_problem,
    starter_problem,
)

AT = datetime(2026, 11, 27, 10, tzinfo=UTC)
END = AT + timedelta(hours=24)
TEXT = "Really?\n\n| a | table |\n\n**Approve**: 1,226 records\nare sent.\n\n**Reject**: nothing is sent; see `send`.\n"
QUESTION = Question(
    subject="Turn Fraud Detection off for 1,226 records (undo of manual__1)?",
    text=TEXT,
    dag_id="product_feature_backfill",
    run_id="manual__2",
    started_by="ada",
    starter_unknown=False,
    asked_at=AT,
    deadline=END,
    outcome="",
    urgent="",
    reason_rule=ReasonRule.NONE,
    excludes_starter=False,
    link="http://airflow.example/dags/d/runs/r/tasks/t/required_actions",
)
FLOW = "The rollup Flow may be off until this is answered."
URGENT = replace(QUESTION, urgent=FLOW, outcome="Sending has ended: all accepted.")


class TestWords:
    def test_the_first_message_says_all_that_is_needed_to_decide_who_answers(self) -> None:
        level, title, text = QUESTION.message(ASKED)

        assert level is AlertLevel.WARNING
        assert title == QUESTION.subject
        assert text == (
            "DAG: product_feature_backfill\nRun: manual__2\nStarted by: ada\n\n"
            "Approve: 1,226 records are sent.\nReject: nothing is sent; see send.\n"
            "Answer until 2026-11-28 10:00 UTC (24 h left). If nobody does, the run fails.\n\n"
            f"Answer here: {QUESTION.link}"
        )

    def test_a_reminder_says_how_much_time_is_left_and_gets_louder(self) -> None:
        half, nearly = QUESTION.message(HALF), QUESTION.message(NEARLY)

        assert (half[0], nearly[0]) == (AlertLevel.WARNING, AlertLevel.FAILURE)
        assert half[1] == f"Still not answered: {QUESTION.subject}"
        assert "Answer until 2026-11-28 10:00 UTC (12 h left)." in half[2]
        assert "(2 h 24 min left)" in nearly[2]

    def test_while_the_flow_may_be_off_each_message_is_louder_and_says_so(self) -> None:
        assert [URGENT.message(stage)[0] for stage in STAGES] == [AlertLevel.FAILURE] * 3
        assert f"\n\n{FLOW}\nSending has ended: all accepted.\n" in URGENT.message(ASKED)[2]
        assert URGENT.refused_message("No reason.")[0] is AlertLevel.FAILURE

    def test_an_answer_is_quiet_and_names_who_gave_it_and_why(self) -> None:
        level, title, text = URGENT.answered_message("bo", "OPS-1")

        assert (level, title) == (AlertLevel.INFO, f"Approved by bo: {QUESTION.subject}")
        assert "bo approved it.\nReason: OPS-1\n" in text
        assert "Reason" not in QUESTION.answered_message("bo", None)[2]

    def test_airflow_shows_the_question_and_of_which_moment_the_rest_is(self) -> None:
        body = replace(URGENT, reason_rule=ReasonRule.TICKET, excludes_starter=True).body

        assert body.startswith(f"{TEXT}\n\n---\n\nRun `manual__2` of product_feature_backfill, started by ada.\n\n")
        assert "When this was asked first: Sending has ended: all accepted." in body
        assert "Asked first at 2026-11-27 10:00 UTC. Answer until 2026-11-28 10:00 UTC: if nobody does, the run fails." in body
        assert "An approval without a ticket in its reason does not count." in body
        assert "ada has started the run, so somebody else has to approve it." in body

    @pytest.mark.parametrize(
        ("unknown", "said"), [(False, "Started by: no person"), (True, "Started by: a person whose name Airflow does not know")]
    )
    def test_a_run_without_a_starter(self, unknown: bool, said: str) -> None:
        assert said in replace(QUESTION, started_by=None, starter_unknown=unknown).message(ASKED)[2]

    @pytest.mark.parametrize("text", [SWITCH_OFF, SWITCH_ON, TEXT])
    def test_each_question_says_what_becomes_of_both_answers(self, text: str) -> None:
        assert [line.split()[0].rstrip(":") for line in effects_of(text)] == ["Approve", "Reject"]


class TestTimes:
    @pytest.mark.parametrize(
        ("hours", "told", "due"),
        [
            (0.1, [], ASKED),
            (0.1, [ASKED], None),
            (12, [ASKED], HALF),
            (12.5, [ASKED, HALF], None),
            (21.6, [ASKED, HALF], NEARLY),
            pytest.param(22, [], NEARLY, id="what-was-missed-is-not-made-up-for"),
            pytest.param(25, [ASKED, NEARLY], None, id="after-the-end-too"),
        ],
    )
    def test_what_people_are_to_hear_now(self, hours: float, told: list[str], due: str | None) -> None:
        assert due_stage(AT, END, told, AT + timedelta(hours=hours)) == due

    @pytest.mark.parametrize(("hours", "at"), [(0.1, 12.0), (12, 21.6), (21.6, None), (30, None)])
    def test_when_they_hear_next(self, hours: float, at: float | None) -> None:
        assert next_stage_at(AT, END, AT + timedelta(hours=hours)) == (None if at is None else AT + timedelta(hours=at))


class TestReason:
    @pytest.mark.parametrize("typed", [None, {}, {REASON: None}, {REASON: "  \n\t "}, {REASON: 7}, {"other": "x"}])
    def test_what_is_blank_or_no_text_is_no_reason(self, typed: Any) -> None:
        assert reason_of(typed) is None
        assert "It has no reason" in str(reason_problem(ReasonRule.REASON, reason_of(typed), load_settings()))

    def test_it_is_one_bounded_line(self) -> None:
        assert reason_of({REASON: " OPS-1:\n because  "}) == "OPS-1: because"
        assert len(str(reason_of({REASON: "x" * 5000}))) == 1000

    @pytest.mark.parametrize(
        ("rule", "reason", "is_enough"),
        [
            (ReasonRule.NONE, None, True),
            (ReasonRule.REASON, "because", True),
            (ReasonRule.TICKET, "because", False),
            (ReasonRule.TICKET, "see OPS-12, please", True),
        ],
    )
    def test_a_ticket_is_more_than_a_reason(self, rule: ReasonRule, reason: str | None, is_enough: bool) -> None:
        assert (reason_problem(rule, reason, load_settings()) is None) is is_enough

    def test_the_form_has_a_field_only_if_a_reason_is_asked_for(self) -> None:
        assert reason_field(ReasonRule.NONE, load_settings()) == {}
        assert "[A-Z]" in reason_field(ReasonRule.TICKET, load_settings())[REASON]["description"]


class TestStarter:
    EXCLUDES = replace(QUESTION, excludes_starter=True)

    @pytest.mark.parametrize("by", [{"id": "7", "name": "ada"}, {"id": "7", "name": "Ada"}, {"id": "ada", "name": None}])
    def test_whoever_started_the_run_may_not_approve_it(self, by: dict[str, Any]) -> None:
        problem = str(starter_problem(self.EXCLUDES, by))

        assert problem.startswith("ada has started this run and may not approve it (APPROVAL_EXCLUDES_STARTER). Somebody else")
        assert starter_problem(QUESTION, by) is None

    def test_somebody_else_may(self) -> None:
        assert starter_problem(self.EXCLUDES, {"id": "8", "name": "bo"}) is None

    def test_nobody_may_if_airflow_does_not_say_who_answered(self) -> None:
        assert "does not say who answered" in str(starter_problem(self.EXCLUDES, {}))

    def test_a_run_that_no_person_has_started_has_no_such_person(self) -> None:
        assert starter_problem(replace(self.EXCLUDES, started_by=None), {"id": "7", "name": "ada"}) is None

    def test_nobody_may_approve_what_an_unknown_person_has_started(self) -> None:
        unknown = replace(self.EXCLUDES, started_by=None, starter_unknown=True)

        assert "start a new run" in str(starter_problem(unknown, {"id": "7", "name": "ada"}))
