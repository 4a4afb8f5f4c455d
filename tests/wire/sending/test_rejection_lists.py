"""The lists of what was rejected: what still is, and what was accepted later, so that a cure does not wipe out its own trace."""

import csv
from pathlib import Path
from typing import Any

import pytest

from feature_sync.census.models import RowRecord
from feature_sync.config.settings import load_settings
from feature_sync.sending.batches import Attempt, AttemptStatus
from feature_sync.sending.rejections import export_rejections
from feature_sync.sending.sync_log import SyncLog
from feature_sync.storage.run_files import run_files
from tests.feature_sync.lists.opened import Opened
from tests.wire.campaign import SIZE, Campaign

KEY = "reverse_etl_id_c"
Lists = tuple[list[dict[str, str]], list[dict[str, str]]]


def lists(campaign: Campaign) -> Lists:
    """What is still rejected, and what was accepted later."""
    files = run_files(load_settings(), campaign.run_id)
    still = export_rejections(campaign.warehouse, campaign.run_id)
    found = []
    for path in (files.rejected_records, files.rejected_then_accepted):
        with Path(str(path)).open(encoding="utf-8", newline="") as file:
            found.append(list(csv.DictReader(file)))
    assert len(found[0]) == still
    return found[0], found[1]


def keys(campaign: Campaign, batch: int = 1) -> list[str]:
    rows = campaign.sandbox.sql(
        f"SELECT {KEY} FROM {load_settings().payload_table} "
        f"WHERE run_id = '{campaign.run_id}' AND batch_number = {batch} ORDER BY record_number"
    )
    return [row[0] for row in rows]


def attempt(campaign: Campaign, number: int, status: AttemptStatus, rejected: dict[str, str], **values: Any) -> None:
    """An attempt as the sync log has it, with what it left rejected."""
    batch = values.pop("batch", 1)
    known = {"sync_run_id": 1_000 + number, "records_rejected": len(rejected)} | values
    one = Attempt(campaign.run_id, batch, number, status, SIZE, **known)
    log = SyncLog(campaign.warehouse)
    rows = [RowRecord(identifier=key, status="rejected", status_message=reason) for key, reason in rejected.items()]
    log.record_rejections(one, rows)
    log.record(one)


def test_what_is_rejected_is_listed_with_who_it_is_and_a_link(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_SALESFORCE_URL", "https://acme.my.salesforce.com")
    campaign.warehouse.settings = load_settings()
    campaign.sandbox.fault("run", "reject_rows", message="NO_GOOD", count=2, times=1)

    campaign.send()

    still, accepted = lists(campaign)
    assert accepted == []
    assert [row["attempt"] for row in still] == ["1", "1"]
    assert list(still[0]) == [
        *("batch_number", "record_number", KEY, "reason", "attempt"),
        *("salesforce_id", "property_name", "company", "status", "number_of_products", "product_names", "salesforce_link"),
    ]
    for row in still:
        [[name, company]] = campaign.sandbox.sql(
            f"SELECT name, company_name FROM {load_settings().properties_table} WHERE CAST(id AS STRING) = '{row[KEY]}'"
        )
        assert (row["property_name"].lstrip("'"), row["company"].lstrip("'")) == (name, company)
        assert row["salesforce_link"] == f"https://acme.my.salesforce.com/{row['salesforce_id']}"
    opened = Opened(Path(str(run_files(load_settings(), campaign.run_id).folder)) / "rejected_records.xlsx")
    assert len(opened.links) == 2


def test_after_a_cure_the_first_reason_is_still_there(campaign: Campaign) -> None:
    campaign.sandbox.fault("run", "reject_rows", message="NO_GOOD", count=2, times=1)
    campaign.send()
    before, _ = lists(campaign)

    assert campaign.send().succeeded

    still, accepted = lists(campaign)
    assert still == []
    assert [(row[KEY], row["reason"], row["attempt"]) for row in accepted] == [(row[KEY], row["reason"], "1") for row in before]
    assert {(row["batch_number"], row["accepted_batch_number"], row["accepted_attempt"]) for row in accepted} == {("1", "1", "2")}
    assert all(row["accepted_at"].endswith("Z") for row in accepted)
    assert (Path(str(run_files(load_settings(), campaign.run_id).folder)) / "rejected_then_accepted.xlsx").exists()


def test_of_several_rejections_the_first_counts_and_what_is_rejected_again_is_not_accepted(campaign: Campaign) -> None:
    once, twice, often, _ = keys(campaign)
    attempt(campaign, 1, AttemptStatus.FAILED, {once: "first", twice: "first", often: "first"})
    attempt(campaign, 2, AttemptStatus.FAILED, {twice: "second", often: "second"}, resends_rejections_of=1)
    attempt(campaign, 3, AttemptStatus.FAILED, {often: "third"}, resends_rejections_of=2)

    still, accepted = lists(campaign)

    assert [(row[KEY], row["reason"]) for row in still] == [(often, "third")]
    assert {(row[KEY], row["reason"], row["accepted_attempt"]) for row in accepted} == {
        (once, "first", "2"),
        (twice, "first", "3"),
    }


@pytest.mark.parametrize(
    ("status", "values"),
    [
        pytest.param(AttemptStatus.SENDING, {"records_rejected": None}, id="on-its-way"),
        pytest.param(AttemptStatus.FAILED, {"records_rejected": None}, id="nobody-knows"),
        pytest.param(AttemptStatus.NOT_SENT, {"records_rejected": None, "sync_run_id": None}, id="never-sent"),
    ],
)
def test_what_nobody_knows_to_be_accepted_is_not_said_to_be(
    campaign: Campaign, status: AttemptStatus, values: dict[str, Any]
) -> None:
    first = keys(campaign)[0]
    attempt(campaign, 1, AttemptStatus.FAILED, {first: "first"})
    attempt(campaign, 2, status, {}, resends_rejections_of=1, **values)

    assert lists(campaign)[1] == []


@pytest.mark.parametrize("status", [AttemptStatus.NOT_SENT, AttemptStatus.HALTED, AttemptStatus.SENDING])
def test_an_attempt_that_sent_nothing_takes_nothing_back(campaign: Campaign, status: AttemptStatus) -> None:
    first = keys(campaign)[0]
    attempt(campaign, 1, AttemptStatus.FAILED, {first: "first"})
    attempt(campaign, 2, AttemptStatus.SUCCEEDED, {}, resends_rejections_of=1)
    attempt(campaign, 3, status, {}, sync_run_id=None, records_rejected=None)

    assert [(row[KEY], row["accepted_attempt"]) for row in lists(campaign)[1]] == [(first, "2")]


def test_what_a_probe_left_rejected_and_a_smaller_batch_brought_through_is_listed(campaign: Campaign) -> None:
    moved = keys(campaign)[0]
    attempt(campaign, 1, AttemptStatus.OVER_LIMIT, {moved: "Limit Exceeded"})
    campaign.sandbox.sql(
        f"UPDATE {load_settings().payload_table} SET batch_number = 9 WHERE run_id = '{campaign.run_id}' AND {KEY} = '{moved}'"
    )
    attempt(campaign, 1, AttemptStatus.SUCCEEDED, {}, batch=9)

    _, [row] = lists(campaign)

    assert (row[KEY], row["reason"]) == (moved, "Limit Exceeded")
    assert (row["batch_number"], row["accepted_batch_number"]) == ("1", "9")


def test_another_run_matters_not(campaign: Campaign) -> None:
    first = keys(campaign)[0]
    attempt(campaign, 1, AttemptStatus.FAILED, {first: "first"})
    attempt(campaign, 2, AttemptStatus.SUCCEEDED, {}, resends_rejections_of=1)
    other = Campaign.freeze(campaign.sandbox, campaign.warehouse, batches=1)
    attempt(other, 1, AttemptStatus.FAILED, {first: "of another run"})

    assert [row["reason"] for row in lists(campaign)[1]] == ["first"]
    assert lists(other)[1] == []
