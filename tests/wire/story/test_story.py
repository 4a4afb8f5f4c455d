"""A record's story by id and by name, from our tables alone."""

from datetime import UTC, datetime

import pytest

from feature_sync.orchestration.approvals import keep_answer
from feature_sync.storage.evidence import Answer
from feature_sync.story.__main__ import main
from feature_sync.story.records import UnknownRecordError, tell_story
from tests.sandbox.client import Sandbox
from tests.wire.planned_runs import Plan, Run

PROPERTIES = "rds.pg_rds_public.properties"


@pytest.fixture
def run(connected: Sandbox, plan: Plan, request: pytest.FixtureRequest) -> Run:
    """Two batches: the first is read back, and the last record of the second is rejected."""
    made = plan(f"story-of-{request.node.name}", 6)
    connected.fault("run", "reject_rows", skip=1, times=1, count=1, message="SOME_RULE: the property has no owner")
    made.send()
    moment = datetime(2025, 11, 24, 8, tzinfo=UTC)
    for _ in range(2):
        keep_answer(Answer(made.id, "product_feature_backfill", "approve_mass_disable", "?", moment, "Approve", "ada", moment))
    return made


def names(sandbox: Sandbox, run: Run) -> list[str]:
    ids = ", ".join(run.ids)
    return [row[0] for row in sandbox.sql(f"SELECT name FROM {PROPERTIES} WHERE id IN ({ids}) ORDER BY CAST(id AS STRING)")]


def test_it_says_what_was_sent_what_became_of_it_and_what_salesforce_held(connected: Sandbox, run: Run) -> None:
    first, last = tell_story(run.ids[0]), tell_story(run.ids[5])

    text = str(first)
    assert first.title.startswith(f"{names(connected, run)[0]} (record a")
    assert f"Run {run.id} froze the warehouse's values. Salesforce held → to be sent: Fraud Detection off → on since" in text
    assert text.count(f"approve_mass_disable: Approve, by ada (run {run.id}).") == 1
    assert ": accepted by Census." in text
    assert (
        f"Salesforce itself was asked (canary, run {run.id}): it held what the run sent, last changed by Census Integration"
        in text
    )
    assert first.answer.endswith("When Salesforce itself was asked last, it held what was sent.")
    assert "rejected: SOME_RULE: the property has no owner" in str(last)
    assert last.answer.endswith("Nobody has asked Salesforce itself since.")


def test_a_record_is_found_by_each_id_and_by_its_name(connected: Sandbox, run: Run) -> None:
    title = tell_story(run.ids[0]).title
    record_id = title.partition("(record ")[2][:18]

    assert tell_story(record_id).title == title
    assert tell_story(record_id[:15]).title == title
    assert tell_story(names(connected, run)[0].upper()).title == title


def test_several_that_may_be_meant_are_named_and_one_that_nobody_knows_is_said(connected: Sandbox, run: Run) -> None:
    found = names(connected, run)
    common = next(letter for letter in "aeiou" if sum(letter in name.lower() for name in found) > 1)

    with pytest.raises(UnknownRecordError) as several:
        tell_story(common)
    with pytest.raises(UnknownRecordError, match="No run of the last 90 days has a record with the id or name 'no such'"):
        tell_story("no such")

    assert "may mean several records. Give the id of one:" in str(several.value)
    named = [key in str(several.value) for key in run.ids]
    assert sum(named) > 1


def test_the_answer_to_a_weekly_run_belongs_to_the_backfill_that_it_started(connected: Sandbox, plan: Plan) -> None:
    assert connected
    healing = plan("healing__0__scheduled__2025-11-24", 5)
    moment = datetime(2025, 11, 24, 8, tzinfo=UTC)
    for dag_id, run_id in (
        ("product_feature_reconciliation", "scheduled__2025-11-24"),
        ("product_feature_reconciliation", "2025-11-24"),
        ("census_dataset_deploy", healing.id),
    ):
        keep_answer(Answer(run_id, dag_id, "approve_healing", "?", moment, "Approve", dag_id, moment))

    text = str(tell_story(healing.ids[0]))

    assert "approve_healing: Approve, by product_feature_reconciliation (run scheduled__2025-11-24)." in text
    assert text.count("approve_healing") == 1


def test_the_command_prints_it_or_says_why_not(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([run.ids[0]]) == 0
    assert "accepted by Census" in capsys.readouterr().out
    assert main([""]) == 1
    assert "No run of the last" in capsys.readouterr().err


def test_a_wrong_setting_is_a_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FEATURE_SYNC_CANARY_EVERY", "often")

    assert main(["17"]) == 1
    assert "CANARY_EVERY" in capsys.readouterr().err


@pytest.mark.parametrize("table", ["PAYLOAD_TABLE", "READ_BACK_TABLE"])
def test_before_the_first_run_there_is_no_story(run: Run, monkeypatch: pytest.MonkeyPatch, table: str) -> None:
    monkeypatch.setenv(f"FEATURE_SYNC_{table}", "crm.sfdc_dbx.feature_sync_of_nobody")

    with pytest.raises(UnknownRecordError, match="There is no story yet: our tables in the warehouse are not there"):
        tell_story(run.ids[0])
