"""A run that has nothing to do is a success that says what was looked at. A run that lost its records is not."""

import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from feature_sync.backfill.payload import check_payload, export_csv, freeze_payload
from feature_sync.backfill.plan import plan_batches, plan_probes
from feature_sync.backfill.scope import RunScope, count_scope
from feature_sync.backfill.validation import SalesforceDiffersError, Validation, validate
from feature_sync.config.problems import GuardError, RunConfigError
from feature_sync.config.run_config import Strategy, parse_run_config
from feature_sync.config.settings import load_settings
from feature_sync.sending.batches import Attempt, AttemptStatus
from feature_sync.sending.sync_log import SyncLog
from feature_sync.storage.run_files import run_files
from feature_sync.storage.warehouse import Warehouse
from tests.wire.backfill import payloads
from tests.wire.backfill.payloads import names, rows_of
from tests.wire.few import Few

DAY = date(2025, 11, 21)
RUN = "nothing-to-do"
ALL_AGREE = "0 of 8 records in Salesforce differ from the warehouse."
WRONG = "UPDATE {replica} SET fraud_detection_enabled_c = FALSE WHERE snappt_property_id_c = '%s'"
TWICE = "INSERT INTO {replica} SELECT * REPLACE ('a0Xanother' AS id) FROM {replica} WHERE snappt_property_id_c = '%s'"


def scope(conf: dict[str, Any]) -> RunScope:
    with Warehouse(load_settings()) as warehouse:
        return count_scope(warehouse, parse_run_config(conf), 1024)


def run(conf: dict[str, Any]) -> Validation:
    """Every step of a run without a batch."""
    assert freeze_payload(conf, RUN) == payloads.frozen(0)
    checked = check_payload(conf, RUN)
    assert (checked.records, checked.approval) == (0, None)
    assert export_csv(RUN, DAY)["records"] == 0
    assert plan_probes(conf, RUN) == []
    assert plan_batches(conf, RUN) == []
    return validate(conf, RUN)


def evidence(name: str) -> dict[str, Any]:
    return json.loads(getattr(run_files(load_settings(), RUN), name).read_text())


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("dry_run", [False, True])
def test_the_default_form_where_nothing_differs_is_a_success(few: Few, strategy: str, dry_run: bool) -> None:  # noqa: ARG001
    conf = {"strategy": strategy, "dry_run": dry_run}

    assert scope(conf) == RunScope(0, ALL_AGREE)
    found = run(conf)

    assert found.result == f"Nothing to do. {ALL_AGREE}"
    assert not found.proves_equality, "so nobody takes it for a repair"
    assert (evidence("validation")["nothing_to_do"], evidence("validation")["purpose"]) == (ALL_AGREE, "repair")
    preview = evidence("preview")
    assert (preview["nothing_to_do"], preview["dry_run"], preview["batches"]) == (ALL_AGREE, dry_run, 0)
    files = run_files(load_settings(), RUN)
    assert len(files.full_csv(DAY).read_text().splitlines()) == 1, "the header alone"
    assert rows_of(Path(str(files.mismatches))) == []


def test_records_without_a_feature_row_are_not_said_to_agree_if_they_are_skipped(few: Few) -> None:
    few.sql(f"DELETE FROM {{features}} WHERE property_id = '{few.ids()[0]}'")

    assert scope({"unmatched": "skip"}).nothing_to_do == (
        f"{ALL_AGREE} Records without a feature row were not looked at, because unmatched is skip."
    )
    assert scope({}).records == 1


@pytest.mark.parametrize(
    "conf",
    [
        {"scope": "created_between", "created_from": "1999-01-01", "created_to": "1999-01-02"},
        {"scope": "property_ids", "property_ids": ["nobody"]},
    ],
    ids=["days", "ids"],
)
def test_a_scope_that_a_person_names_and_that_is_empty_is_refused(few: Few, conf: dict[str, Any]) -> None:  # noqa: ARG001
    with pytest.raises(RunConfigError):
        scope(conf)
    freeze_payload(conf, RUN)
    with pytest.raises(GuardError) as refused:
        check_payload(conf, RUN)

    assert names(refused.value.problems) == ["empty_payload"]


def test_an_empty_replica_is_not_a_healthy_one(few: Few) -> None:
    few.sql("DELETE FROM {replica} WHERE TRUE")

    with pytest.raises(RunConfigError, match="No record is in scope"):
        scope({})


UNSOUND: dict[str, Callable[[str], str]] = {
    "keys": lambda one: TWICE % one,
    "property": lambda one: f"DELETE FROM {{properties}} WHERE id = {one}",
    "flag": lambda one: f"UPDATE {{features}} SET fraud_enabled = NULL WHERE property_id = '{one}'",
}


@pytest.mark.parametrize("kind", UNSOUND)
def test_a_record_that_nobody_can_say_the_values_of_is_not_nothing(few: Few, kind: str) -> None:
    few.sql(UNSOUND[kind](few.ids()[0]))

    with pytest.raises(RunConfigError, match=r"(?s)No record can be sent: .* left out, because"):
        scope({})


def accept(few: Few, kind: str, one: str, product: str | None) -> None:
    value = "NULL" if product is None else f"'{product}'"
    few.sql(
        f"INSERT INTO {load_settings().accepted_table} (class, salesforce_id, snappt_property_id_c, reverse_etl_id_c, product,"
        f" reason, accepted_by, accepted_until, accepted_at) SELECT '{kind}', id, '{one}', '{one}', {value}, 'known', 'ada',"
        f" current_date() + INTERVAL 9 DAYS, current_timestamp() FROM {{replica}} WHERE snappt_property_id_c = '{one}'"
    )


@pytest.fixture
def _nothing_accepted(few: Few) -> Iterator[None]:
    yield
    few.sql(f"DELETE FROM {load_settings().accepted_table} WHERE TRUE")


@pytest.mark.usefixtures("_nothing_accepted")
def test_a_flag_that_the_replica_does_not_know_is_not_one_that_agrees(few: Few) -> None:
    one = few.ids()[0]
    few.sql(f"UPDATE {{replica}} SET fraud_detection_enabled_c = NULL WHERE snappt_property_id_c = '{one}'")

    with pytest.raises(RunConfigError, match=r"1 flag is empty in crm.*, so nobody can say whether these records differ"):
        scope({})

    accept(few, "unknown_in_salesforce", one, "fraud_detection")
    assert scope({}) == RunScope(0, ALL_AGREE)


@pytest.mark.usefixtures("_nothing_accepted")
@pytest.mark.parametrize(
    ("kind", "accepted", "product", "left"),
    [
        ("keys", "key_mismatch", None, "2 records are left as they are"),
        ("property", "missing_in_warehouse", None, "1 record is left as it is"),
        ("flag", "unknown_in_warehouse", "fraud_detection", "1 record is left as it is"),
    ],
)
def test_what_is_wrong_with_a_record_may_be_accepted(few: Few, kind: str, accepted: str, product: str | None, left: str) -> None:
    one = few.ids()[0]
    few.sql(UNSOUND[kind](one))
    accept(few, accepted, one, product)

    found = scope({}).nothing_to_do

    assert found is not None
    assert found.endswith(f"{left}, with a difference that people have accepted.")


@pytest.mark.usefixtures("_nothing_accepted")
def test_a_record_that_a_person_names_is_left_out_for_what_is_wrong_with_it_also_if_that_is_accepted(few: Few) -> None:
    one = few.ids()[0]
    few.sql(TWICE % one)
    accept(few, "key_mismatch", one, None)

    freeze_payload({"scope": "property_ids", "property_ids": few.ids()}, RUN)

    rows = rows_of(Path(str(run_files(load_settings(), RUN).records_left_out)))
    assert {row["reason"] for row in rows} == {"key_mismatch"}


def test_feature_rows_that_match_no_property_are_refused_also_if_nothing_is_sent(
    few: Few, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEATURE_SYNC_GUARD_UNMATCHED_FEATURE_ROWS", "0")
    few.sql("INSERT INTO {features} SELECT * REPLACE ('elsewhere' AS property_id) FROM {features} LIMIT 1")
    freeze_payload({}, RUN)

    with pytest.raises(GuardError) as refused:
        check_payload({}, RUN)

    assert names(refused.value.problems) == ["unmatched_features"]


def test_what_begins_to_differ_before_the_verdict_fails_it(few: Few) -> None:
    assert run({}).properties_checked == 0
    few.sql(WRONG % few.ids()[0])

    with pytest.raises(SalesforceDiffersError, match="0 properties were checked, but 0 are in scope"):
        validate({}, RUN)


def test_a_run_whose_values_were_removed_after_it_sent_is_not_nothing(few: Few) -> None:  # noqa: ARG001
    with Warehouse(load_settings()) as warehouse:
        SyncLog(warehouse).record(Attempt("sent-once", 1, 1, AttemptStatus.SUCCEEDED, 8))

    with pytest.raises(SalesforceDiffersError, match="0 properties were checked"):
        validate({}, "sent-once")


def test_undoing_a_run_whose_records_are_as_before_is_a_success_too(few: Few) -> None:
    few.sql(WRONG % few.ids()[0])
    freeze_payload({}, "to-undo")
    conf = {"undo_run_id": "to-undo"}

    left = "Run to-undo left nothing to undo: 1 record holds what Salesforce held before it."
    assert scope(conf) == RunScope(0, left)
    assert run(conf).result == f"Nothing to do. {left}"
    assert (evidence("validation")["purpose"], evidence("validation")["undo_run_id"]) == ("undo", "to-undo")

    few.sql(f"UPDATE {{replica}} SET idv_only_enabled_c = TRUE WHERE snappt_property_id_c = '{few.ids()[0]}'")
    with pytest.raises(RunConfigError, match="0 are as before it, 1 it did not write"):
        scope(conf)
