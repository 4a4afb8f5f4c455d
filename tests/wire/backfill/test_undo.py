"""Undoing a run over the wire: records that still hold what it sent get their earlier values back, the others are listed."""

import csv
import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from feature_sync.backfill.payload import CheckedPayload, check_payload, export_csv, freeze_payload, release_payload
from feature_sync.backfill.plan import plan_batches, plan_probes
from feature_sync.backfill.preconditions import check_preconditions
from feature_sync.backfill.validation import validate
from feature_sync.config.fields import load_fields
from feature_sync.config.problems import GuardError, NotReadyError, RunConfigError
from feature_sync.config.settings import load_settings
from feature_sync.replica.state import read_replica_state
from feature_sync.sending.batches import Attempt, AttemptStatus, Batch
from feature_sync.sending.sync_log import SyncLog
from feature_sync.storage.warehouse import Warehouse
from tests.sandbox.client import Sandbox, eventually
from tests.wire.campaign import Campaign

DAY = date(2025, 11, 21)
REPLICA = "crm.salesforce.product_property_c"
FIELDS = load_fields()
MAX_BATCHES = 1024
Values = dict[str, tuple[Any, ...]]


@dataclass
class Run:
    """A run of the DAG without Airflow, or as much of it as a test asks for."""

    sandbox: Sandbox
    warehouse: Warehouse
    conf: dict[str, Any]
    id: str = field(default_factory=lambda: f"undo-{uuid.uuid4()}")
    batches: Sequence[Batch] = ()

    def freeze(self) -> int:
        return freeze_payload(self.conf, self.id)["records"]

    def check(self) -> CheckedPayload:
        return check_payload(self.conf, self.id)

    def plan(self) -> None:
        """As after the check, and after the approval if there was something to approve."""
        release_payload(self.id)
        export_csv(self.id, DAY)
        plan_probes(self.conf, self.id)
        self.batches = [Batch.from_xcom(batch) for batch in plan_batches(self.conf, self.id)]

    def send(self, *numbers: int) -> None:
        """Send these batches, or all. The wait makes up for Census's clock of whole seconds."""
        campaign = Campaign(self.sandbox, self.warehouse, self.id, self.batches, self.sandbox.seq())
        for batch in self.batches:
            if not numbers or batch.number in numbers:
                assert campaign.send(batch.number, wait_seconds=-2).succeeded

    def until_fresh(self) -> None:
        eventually(lambda: read_replica_state(self.id, load_settings()).is_fresh)

    def validate(self) -> str:
        return validate(self.conf, self.id).result

    @property
    def folder(self) -> Path:
        return Path(load_settings().output_url) / self.id

    @property
    def preview(self) -> dict[str, Any]:
        return json.loads((self.folder / "preview.json").read_text())

    @property
    def not_undone(self) -> list[dict[str, str]]:
        with (self.folder / "records_not_undone.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def payload(self, prefix: str = "") -> Values:
        columns = ", ".join(f"{prefix}{each.column}" for each in FIELDS.features)
        rows = self.sandbox.sql(
            f"SELECT reverse_etl_id_c, {columns} FROM {load_settings().payload_table} WHERE run_id = '{self.id}'"
        )
        return {row[0]: tuple(row[1:]) for row in rows}


class Org:
    """Salesforce as an admin changes it, and as the replica shows it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def values(self, keys: Sequence[str]) -> Values:
        columns = ", ".join(each.column for each in FIELDS.features)
        listed = ", ".join(f"'{key}'" for key in keys)
        rows = self.sandbox.sql(
            f"SELECT snappt_property_id_c, {columns} FROM {REPLICA} WHERE snappt_property_id_c IN ({listed}) AND NOT is_deleted"
        )
        return {row[0]: tuple(row[1:]) for row in rows}

    def change(self, key: str, values: dict[str, Any]) -> None:
        before = self.values([key])
        answer = self.sandbox.salesforce("PATCH", f"sobjects/Product_Property__c/Reverse_ETL_ID__c/{key}", json=values)
        assert answer.ok, answer.text
        eventually(lambda: self.values([key]) != before)

    def delete(self, key: str) -> None:
        self.sandbox.sql(f"UPDATE {REPLICA} SET is_deleted = TRUE WHERE snappt_property_id_c = '{key}'")


@pytest.fixture(scope="module")
def org(world: Sandbox) -> Org:
    return Org(world)


@pytest.fixture(scope="module")
def warehouse(world: Sandbox) -> Iterator[Warehouse]:  # noqa: ARG001 - the environment
    with Warehouse(load_settings()) as warehouse:
        yield warehouse


@pytest.fixture(scope="module")
def planned(world: Sandbox, warehouse: Warehouse) -> Callable[..., Run]:
    """Plans runs over records of the incident that have every day's usual product, each over others."""
    rows = world.sql(
        f"SELECT replica.snappt_property_id_c FROM {REPLICA} AS replica"
        " INNER JOIN crm.sfdc_dbx.product_property_w_features AS features"
        " ON features.property_id = replica.snappt_property_id_c"
        " WHERE CAST(replica.created_date AS DATE) = '2025-11-21' AND features.fraud_enabled AND features.iv_enabled"
        " ORDER BY 1 LIMIT 100"
    )
    unused = iter([row[0] for row in rows])

    def plan(records: int, batch_size: int = 4) -> Run:
        ids = [next(unused) for _ in range(records)]
        conf = {"scope": "property_ids", "property_ids": ids, "batch_size": batch_size, "wait_seconds": 0}
        run = Run(world, warehouse, conf)
        run.freeze()
        run.plan()
        return run

    return plan


def undo_of(run: Run, **conf: Any) -> Run:
    values = {"undo_run_id": run.id, "batch_size": 4, "wait_seconds": 0, "allow_mass_disable": True}
    return Run(run.sandbox, run.warehouse, values | conf)


@dataclass
class Story:
    """
    A run, changes by hand, its undo, and the undo of that, with what stood in Salesforce in between.

    Of the run's ten records one was deleted since, one was put back by hand and two were changed otherwise.
    """

    run: Run
    former: Values
    sent: Values
    by_hand: Values
    undo: Run
    in_scope: int
    refusals: list[str]
    frozen: Values
    frozen_before: Values
    not_undone: list[dict[str, str]]
    checked: CheckedPayload
    keys_sent: list[str]
    undone: Values
    validated: str
    frozen_again: Values
    not_undone_again: list[dict[str, str]]
    redo: Run
    redo_checked: CheckedPayload
    redone: Values

    @property
    def keys(self) -> list[str]:
        return self.run.conf["property_ids"]

    @property
    def untouched(self) -> list[str]:
        return [key for position, key in enumerate(self.keys) if position not in (1, 2, 3, 5)]


@pytest.fixture(scope="module")
def story(world: Sandbox, planned: Callable[..., Run], org: Org) -> Story:
    run = planned(10, batch_size=5)
    keys = run.conf["property_ids"]
    former = org.values(keys)
    run.send()
    run.until_fresh()
    sent = org.values(keys)
    org.change(keys[1], {"Fraud_Detection_Enabled__c": False, "VOR_Start_Date__c": "2020-02-29"})
    org.change(keys[2], {"Fraud_Detection_Start_Date__c": None})
    names = [each.salesforce_name for each in FIELDS.features]
    org.change(keys[3], dict(zip(names, former[keys[3]], strict=True)))
    org.delete(keys[5])
    by_hand = org.values(keys)

    undo = undo_of(run, allow_mass_disable=False)
    in_scope = check_preconditions(undo.conf, MAX_BATCHES)["records"]
    undo.freeze()
    with pytest.raises(GuardError) as refused:
        undo.check()
    undo.conf["allow_mass_disable"] = True
    undo.freeze()
    frozen, frozen_before, not_undone = undo.payload(), undo.payload("before_"), undo.not_undone
    checked = undo.check()
    undo.plan()
    before = world.seq()
    undo.send()
    undo.until_fresh()
    keys_sent = sorted(key for entry in world.journal("salesforce.transaction", before) for key in entry["keys"])
    undone, validated = org.values(keys), undo.validate()
    undo.freeze()
    frozen_again, not_undone_again = undo.payload(), undo.not_undone

    redo = undo_of(undo, allow_mass_disable=False)
    redo.freeze()
    redo_checked = redo.check()
    redo.plan()
    redo.send()
    redo.until_fresh()
    return Story(
        run=run,
        former=former,
        sent=sent,
        by_hand=by_hand,
        undo=undo,
        in_scope=in_scope,
        refusals=refused.value.problems,
        frozen=frozen,
        frozen_before=frozen_before,
        not_undone=not_undone,
        checked=checked,
        keys_sent=keys_sent,
        undone=undone,
        validated=validated,
        frozen_again=frozen_again,
        not_undone_again=not_undone_again,
        redo=redo,
        redo_checked=redo_checked,
        redone=org.values(keys),
    )


def only(values: Values, keys: Sequence[str]) -> Values:
    return {key: values[key] for key in keys}


class TestTheStory:
    def test_the_run_had_something_to_undo(self, story: Story) -> None:
        assert all(story.former[key] != story.sent[key] for key in story.keys)

    def test_only_records_that_hold_what_the_run_sent_get_their_earlier_values_back(self, story: Story) -> None:
        assert story.in_scope == 6
        assert story.frozen == only(story.former, story.untouched)
        assert story.frozen_before == only(story.sent, story.untouched)

    def test_the_others_are_listed_with_reason_and_what_somebody_changed(self, story: Story) -> None:
        listed = [(row["snappt_property_id_c"], row["reason"], row["changed_fields"]) for row in story.not_undone]

        assert listed[:2] == [
            (story.keys[1], "changed_since", "fraud_detection_enabled_c, vor_start_date_c"),
            (story.keys[2], "changed_since", "fraud_detection_start_date_c"),
        ]
        assert [row[:2] for row in listed[2:]] == [(story.keys[3], "as_before"), (story.keys[5], "gone")]
        assert [row["reverse_etl_id_c"] for row in story.not_undone] == [row[0] for row in listed]

    def test_only_the_guard_on_mass_disable_refuses_the_undo(self, story: Story) -> None:
        assert {problem.partition(":")[0] for problem in story.refusals} == {"mass_disable"}
        assert story.refusals[0].startswith("mass_disable: Fraud Detection would turn from True to False for 6 of 6 records")

    def test_when_allowed_a_person_is_asked_with_the_numbers(self, story: Story) -> None:
        assert story.checked.records == 6
        assert "Fraud Detection would turn from True to False for 6 of 6 records (100.0%)" in str(story.checked.approval)
        assert "- 4 records of the undone run stay as they are: records_not_undone.csv" in str(story.checked.approval)

    def test_the_preview_counts_from_what_salesforce_holds_now(self, story: Story) -> None:
        preview = story.undo.preview

        fraud = preview["products"][0]
        assert (preview["records"], preview["records_not_undone"], preview["batches"]) == (6, 4, 2)
        assert (fraud["enabled_now"], fraud["enabled_after"], fraud["to_enable"], fraud["to_disable"]) == (6, 0, 0, 6)

    def test_sending_it_restores_the_earlier_values_and_touches_nothing_else(self, story: Story) -> None:
        touched_by_hand = [key for key in story.by_hand if key not in story.untouched]

        assert story.keys_sent == story.untouched
        assert only(story.undone, story.untouched) == only(story.former, story.untouched)
        assert only(story.undone, touched_by_hand) == only(story.by_hand, touched_by_hand)

    def test_the_validation_of_an_undo_passes(self, story: Story) -> None:
        assert story.validated == f"6 of 6 properties hold the values from before run {story.run.id} again"

    def test_undoing_the_undo_restores_what_the_run_sent_and_asks_nobody(self, story: Story) -> None:
        assert replace(story.redo_checked, products=[]) == CheckedPayload(records=6, records_unmatched=0, approval=None)
        assert (story.redo.not_undone, story.redo.preview["records_not_undone"]) == ([], 0)
        assert only(story.redone, story.untouched) == only(story.sent, story.untouched)

    def test_a_sent_payload_stays_frozen_when_the_freezing_is_cleared(self, story: Story) -> None:
        assert story.frozen_again == story.frozen

    def test_the_list_of_records_not_undone_stays_when_the_freezing_is_cleared(self, story: Story) -> None:
        assert story.not_undone_again == story.not_undone


def test_a_record_that_has_another_key_now_is_left_as_it_is(sandbox: Sandbox, planned: Callable[..., Run]) -> None:
    run = planned(3)
    run.send()
    run.until_fresh()
    key = run.conf["property_ids"][1]
    sandbox.sql(f"UPDATE {REPLICA} SET reverse_etl_id_c = 'moved' WHERE reverse_etl_id_c = '{key}'")
    undo = undo_of(run)

    undo.freeze()

    assert sorted(undo.payload()) == [run.conf["property_ids"][0], run.conf["property_ids"][2]]
    assert [(row["reason"], row["changed_fields"]) for row in undo.not_undone] == [("changed_since", "reverse_etl_id_c")]


def test_an_undo_whose_freezing_is_sent_again_is_frozen_once(sandbox: Sandbox, planned: Callable[..., Run]) -> None:
    run = planned(3)
    run.send()
    run.until_fresh()
    undo = undo_of(run)
    sandbox.fault("warehouse", "lost_response", contains="MERGE INTO", times=1)

    assert undo.freeze() == 3


def test_records_written_by_a_first_try_are_undone_although_a_later_try_was_rejected(
    sandbox: Sandbox, planned: Callable[..., Run]
) -> None:
    run = planned(3)
    run.send()
    sandbox.fault("run", "reject_rows", count=2, message="FLOW", times=1)
    again = Campaign(sandbox, run.warehouse, run.id, run.batches, sandbox.seq()).send(1, wait_seconds=-2, generation=1)
    run.until_fresh()
    undo = undo_of(run)

    undo.freeze()

    assert again.status is AttemptStatus.FAILED
    assert (sorted(undo.payload()), undo.not_undone) == (run.conf["property_ids"], [])


def test_records_that_were_accepted_by_counters_alone_are_undone(
    sandbox: Sandbox, planned: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEATURE_SYNC_CENSUS_RECORDS_LIMIT_SECONDS", "0")
    with Warehouse(load_settings()) as warehouse:
        run = replace(planned(3), warehouse=warehouse)
        sandbox.fault("run", "records_lost", times=1)
        run.send()
        run.until_fresh()
        status = SyncLog(warehouse).last_attempts(run.id)[1].status
    undo = undo_of(run)

    undo.freeze()

    assert status is AttemptStatus.ACCEPTED_BY_COUNTERS
    assert (sorted(undo.payload()), undo.not_undone) == (run.conf["property_ids"], [])


def test_rejected_records_that_another_run_has_written_are_not_undone(sandbox: Sandbox, planned: Callable[..., Run]) -> None:
    run = planned(3)
    sandbox.fault("run", "reject_rows", count=1, message="FLOW", times=1)
    Campaign(sandbox, run.warehouse, run.id, run.batches, sandbox.seq()).send(1, wait_seconds=-2)
    other = Run(sandbox, run.warehouse, run.conf)
    other.freeze()
    other.plan()
    other.send()
    other.until_fresh()
    undo = undo_of(run)

    undo.freeze()

    assert len(undo.payload()) == 2
    assert [row["reason"] for row in undo.not_undone] == ["not_sent"]


class TestPreconditions:
    def test_a_run_that_has_no_payload_is_refused_and_the_newest_are_named(
        self, sandbox: Sandbox, planned: Callable[..., Run]
    ) -> None:
        known = planned(1)
        before = sandbox.seq()

        with pytest.raises(RunConfigError, match="there is no payload of such a run") as refused:
            check_preconditions({"undo_run_id": "manual__of-another-day"}, MAX_BATCHES)

        [problem] = refused.value.problems
        assert "'manual__of-another-day'" in problem
        assert f"the newest are of {known.id}" in problem
        assert [entry for entry in sandbox.journal("census.request", before) if entry["method"] != "GET"] == []

    def test_a_run_that_sent_nothing_leaves_nothing_to_undo(self, sandbox: Sandbox, planned: Callable[..., Run]) -> None:  # noqa: ARG002
        run = planned(4)

        assert check_preconditions(undo_of(run).conf, MAX_BATCHES)["records"] == 0

    def test_a_run_that_sent_nothing_cannot_undo_what_another_run_sent(
        self,
        sandbox: Sandbox,  # noqa: ARG002
        planned: Callable[..., Run],
    ) -> None:
        run = planned(2)
        looked = Run(run.sandbox, run.warehouse, run.conf | {"dry_run": True})
        looked.freeze()
        run.send()
        run.until_fresh()

        with pytest.raises(RunConfigError, match="0 are as before it, 2 it did not write"):
            check_preconditions(undo_of(looked).conf, MAX_BATCHES)

    def test_records_changed_or_deleted_since_leave_nothing_to_undo(
        self,
        sandbox: Sandbox,  # noqa: ARG002
        planned: Callable[..., Run],
        org: Org,
    ) -> None:
        run = planned(3)
        run.send()
        run.until_fresh()
        for key in run.conf["property_ids"][:2]:
            org.change(key, {"Fraud_Detection_Enabled__c": False})
        org.delete(run.conf["property_ids"][2])

        with pytest.raises(
            RunConfigError, match=r"0 are as before it, 0 it did not write, 2 were changed since, 1 are gone\. There"
        ):
            check_preconditions(undo_of(run).conf, MAX_BATCHES)

    def test_a_run_that_is_still_sending_is_waited_for(self, sandbox: Sandbox, planned: Callable[..., Run]) -> None:  # noqa: ARG002
        run = planned(2, batch_size=1)
        run.send(1)
        run.until_fresh()
        log = SyncLog(run.warehouse)
        log.record(Attempt(run.id, 2, 1, AttemptStatus.SENDING, 1))

        with pytest.raises(NotReadyError, match=r"is still sending batch 002\. Let it end first"):
            check_preconditions(undo_of(run).conf, MAX_BATCHES)

        log.record(Attempt(run.id, 2, 1, AttemptStatus.NOT_SENT, 1))
        assert check_preconditions(undo_of(run).conf, MAX_BATCHES)["records"] == 1

    @pytest.mark.parametrize(
        "batches_shown",
        [
            pytest.param(0, id="none-of-it"),
            pytest.param(1, id="half-of-it"),
        ],
    )
    def test_a_run_whose_effect_the_replica_does_not_show_yet_is_waited_for(
        self, sandbox: Sandbox, planned: Callable[..., Run], batches_shown: int
    ) -> None:
        run = planned(4, batch_size=2)
        if batches_shown:
            run.send(1)
            run.until_fresh()
            time.sleep(
                1
            )  # Census's times are whole seconds: what changed in the one that a run ended in counts as changed after it
        sandbox.settings(replication_stalled=True)
        run.send(*([2] if batches_shown else [1, 2]))

        with pytest.raises(NotReadyError, match=r"[24] records that run .* sent are not yet in crm\.salesforce"):
            check_preconditions(undo_of(run).conf, MAX_BATCHES)

        sandbox.settings(replication_stalled=False)
        run.until_fresh()
        assert check_preconditions(undo_of(run).conf, MAX_BATCHES)["records"] == 4
