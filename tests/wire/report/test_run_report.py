"""The page that each run leaves in its folder, beside the sandbox: green, red, dry, an undo, and when it cannot be drawn."""

import sys
from datetime import UTC, datetime

import pytest

from feature_sync.backfill.payload import check_payload, freeze_payload, release_payload
from feature_sync.backfill.plan import plan_batches, plan_probes
from feature_sync.backfill.validation import SalesforceDiffersError, validate
from feature_sync.config.settings import load_settings
from feature_sync.orchestration.approvals import keep_answer
from feature_sync.report.facts import Origin
from feature_sync.sending.batches import Batch
from feature_sync.storage.evidence import Answer
from feature_sync.storage.run_files import run_files
from tests.feature_sync.report.pages import Tags
from tests.sandbox.client import Sandbox
from tests.wire.planned_runs import Plan, Run

NOON = datetime(2025, 11, 24, 12, tzinfo=UTC)


def page_of(run_id: str) -> str:
    return run_files(load_settings(), run_id).report.read_text()


def answered(run_id: str, dag_id: str = "product_feature_backfill", by: str = "ada") -> None:
    keep_answer(Answer(run_id, dag_id, "approve_mass_disable", "Turn off?", NOON, "Approve", by, NOON))


@pytest.fixture(scope="module")
def sent(plan: Plan) -> Run:
    run = plan("healing__0__week", 7)
    run.send()
    run.until_fresh()
    return run


def test_a_green_run_says_what_salesforce_held_before_and_holds_now(sandbox: Sandbox, sent: Run) -> None:  # noqa: ARG001
    answered(sent.id)
    answered("week", "product_feature_reconciliation", "bob")
    answered("another", by="eve")
    answered("week", by="mallory")  # a backfill that a person has named like the weekly run

    validate({}, sent.id, Origin("product_feature_backfill", sent.id, NOON, "carol", "manual"))
    page = page_of(sent.id)

    assert "All 7 properties of this run hold what they should: they agree with the warehouse." in page
    assert '<td>Fraud Detection</td><td class="n">0</td><td class="n">7</td><td class="n">7</td><td class="n">0</td>' in page
    assert [name for name in ("ada", "bob", "carol", "eve", "mallory") if f"<bdi>{name}</bdi>" in page] == ["ada", "bob", "carol"]
    assert Tags(page).open == []


def test_a_red_run_leaves_its_page_with_the_records_that_are_open(sandbox: Sandbox, plan: Plan) -> None:
    run = plan("red-page", 7)
    sandbox.fault("run", "reject_rows", count=2, message="SOME_RULE: no owner <b>", times=1)
    run.send()
    run.until_fresh()

    with pytest.raises(SalesforceDiffersError, match=r"report\.html") as failed:
        run.validate()
    page = page_of(run.id)

    assert "2 of 7 properties differ from the warehouse." in page
    assert "rejected: SOME_RULE: no owner &lt;b&gt;" in page
    rejected = [key for key in run.ids if f"<bdi>{key}</bdi>" in page]
    assert rejected == sorted({row["snappt_property_id_c"] for row in run.mismatches})
    assert len(rejected) == 2
    first = str(failed.value).splitlines()[0].replace("`send`", "<code>send</code>")
    assert f"<li>{first}</li>" in page
    assert "Nobody was asked before this page was written." in page


def test_a_run_of_which_nothing_was_sent_names_the_rest_too(sandbox: Sandbox, plan: Plan) -> None:  # noqa: ARG001
    run = plan("unsent-page", 6)

    with pytest.raises(SalesforceDiffersError):
        run.validate()

    assert "it was never sent" in page_of(run.id)
    assert "<dt>not sent</dt><dd>6</dd>" in page_of(run.id)


def test_a_dry_run_leaves_what_would_change(sandbox: Sandbox, plan: Plan) -> None:  # noqa: ARG001
    ids = plan("gives-ids", 6).ids
    conf = {"scope": "property_ids", "property_ids": ids, "batch_size": 5, "dry_run": True}
    freeze_payload(conf, "dry-page")
    check_payload(conf, "dry-page")
    plan_probes(conf, "dry-page")

    assert plan_batches(conf, "dry-page") == []
    page = page_of("dry-page")

    assert "Nothing was sent. 6 records would be sent in 2 batches, about " in page
    assert '<td>Fraud Detection</td><td class="n">0</td><td class="n">6</td></tr>' in page
    assert "A dry run sends nothing" in page


def test_an_undo_shows_what_was_there_before_the_run_that_it_undoes(sandbox: Sandbox, sent: Run) -> None:  # noqa: ARG001
    conf = {"undo_run_id": sent.id, "batch_size": 5, "wait_seconds": 0}
    freeze_payload(conf, "undo-page")
    release_payload("undo-page")
    batches = [Batch.from_xcom(batch) for batch in plan_batches(conf, "undo-page")]
    undo = Run("undo-page", sent.ids, batches)
    undo.send()
    undo.until_fresh()

    validate(conf, undo.id)
    page = page_of(undo.id)

    assert "Undo of product features in Salesforce" in page
    assert f"they agree with the values from before run {sent.id}." in page
    assert '<td>Fraud Detection</td><td class="n">7</td><td class="n">0</td><td class="n">0</td><td class="n">0</td>' in page


def test_the_verdict_is_the_same_if_nothing_can_be_drawn(
    sandbox: Sandbox,  # noqa: ARG001
    plan: Plan,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = plan("undrawn-page", 3)
    run.send()
    run.until_fresh()
    monkeypatch.setitem(sys.modules, "vl_convert", None)  # as where it is not installed

    assert run.validate().result == "0 properties with mismatched feature data"
    assert "svg" not in Tags(page_of(run.id)).seen
    assert "All 3 properties of this run hold" in page_of(run.id)
    assert "could not be drawn" in caplog.text


def test_the_verdict_is_the_same_if_the_page_cannot_be_written(
    sandbox: Sandbox,  # noqa: ARG001
    plan: Plan,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = plan("unwritten-page", 2)
    run.send()
    run.until_fresh()
    (run.folder / "report.html").mkdir(parents=True)  # in its place

    assert run.validate().result == "0 properties with mismatched feature data"
    assert "report.html could not be written" in caplog.text
