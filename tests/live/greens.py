"""What a green run claims, held against the outside world: the sandbox's journal, Salesforce and Census."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import requests

from feature_sync.config.names import ACCEPT_DAG_ID, BACKFILL_DAG_ID, DEPLOY_DAG_ID, RECONCILIATION_DAG_ID
from sandbox.census.syncs import PROPERTY_DATASET, PROPERTY_SYNC
from sandbox.tokens import CENSUS_PERSONAL_TOKEN
from tests.live.chaos import assert_in_salesforce
from tests.live.invariants import CensusRun, accepted_keys, assert_one_at_a_time, assert_staged_alone, read_runs
from tests.live.runs import LiveAirflow, LiveRun


@dataclass(frozen=True, slots=True)
class Deployed:
    """The query and the mappings of the regular sync, as Census has them."""

    query: str
    mappings: str

    @classmethod
    def of(cls, live: LiveAirflow) -> "Deployed":
        sync = census(live, "GET", f"syncs/{PROPERTY_SYNC}")
        return cls(census(live, "GET", f"datasets/{PROPERTY_DATASET}")["query"], json.dumps(sync["mappings"], sort_keys=True))


def census(live: LiveAirflow, method: str, path: str, **options: Any) -> Any:
    """A request to Census, as a person or another program sends it."""
    headers = {"Authorization": f"Bearer {CENSUS_PERSONAL_TOKEN}"}
    answer = requests.request(method, f"{live.stack.sandbox.url}/api/v2/{path}", headers=headers, timeout=60, **options)
    answer.raise_for_status()
    return answer.json()["data"]


@dataclass(frozen=True, slots=True)
class Claim:
    """
    What a run is about, as only the one who started it knows.

    ``conf``: of a backfill. ``harmed``: records that somebody had switched a product off in, before a weekly run.
    ``deployed``: what a good deployment leaves.
    """

    run: LiveRun
    conf: Mapping[str, Any]
    harmed: tuple[str, ...] = ()
    deployed: Deployed | None = None


def assert_apart(live: LiveAirflow, began_after: int, wait_seconds: float) -> None:
    """Whatever was clicked: no two Census runs at once, each pause kept, and the batch table left alone while a run reads it."""
    journal = live.stack.sandbox.journal(began_after)
    runs = read_runs(journal)
    assert_one_at_a_time(runs, wait_seconds)
    if runs:
        assert_staged_alone(journal, runs, [run.keys for run in runs])


def assert_true(claim: Claim) -> None:
    """A green run says the truth. :raises AssertionError: it does not."""
    run = claim.run
    match run.dag_id:
        case _ if run.dag_id == BACKFILL_DAG_ID:
            _assert_backfilled(claim)
        case _ if run.dag_id == RECONCILIATION_DAG_ID:
            _assert_reconciled(claim)
        case _ if run.dag_id == DEPLOY_DAG_ID:
            assert Deployed.of(run.airflow) == claim.deployed, "the query or the mappings in Census are not the repository's"
        case _ if run.dag_id == ACCEPT_DAG_ID:
            recorded = [entry for entry in run.journal() if "feature_sync_accepted_difference" in entry.get("sql", "")]
            assert any("MERGE" in entry["sql"] or "INSERT" in entry["sql"] for entry in recorded), "nothing was accepted"


def _assert_backfilled(claim: Claim) -> None:
    run = claim.run
    own = set(claim.conf["property_ids"]) if "property_ids" in claim.conf else None
    journal = run.journal()
    if claim.conf.get("dry_run"):
        assert not _own(read_runs(journal), own), "a dry run sent something"
        return
    batches = run.batches()
    payload = set().union(*batches.values())
    assert payload == own if own is not None else payload, "the run has another payload than was asked for"
    report = run.validation()
    assert (report["properties_checked"], report["properties_mismatched"]) == (len(payload), 0), report["result"]
    assert report["records"]["sent"] == len(payload), report["records"]
    runs = _own(read_runs(journal), payload)
    missing = payload - accepted_keys(journal)
    assert not missing, f"Salesforce never accepted {len(missing)} of {len(payload)} records"
    assert_judged_last(runs, report)
    assert_in_salesforce(run)
    if claim.conf.get("strategy") == "pilot":
        answers = json.loads((run.folder / "approvals.json").read_text())
        assert answers["approve_pilot"][-1]["answer"] == "Approve", f"nobody approved the pilot: {answers}"
    if claim.conf.get("strategy") == "full":
        answers = json.loads((run.folder / "approvals.json").read_text())
        for question in ("confirm_flow_off", "confirm_flow_on"):
            assert answers[question][-1]["answer"] == "Approve", f"nobody answered {question}: {answers[question]}"


def _assert_reconciled(claim: Claim) -> None:
    run = claim.run
    report = run.validation()
    assert report["properties_mismatched"] == 0, report["result"]
    assert_judged_last(_own(read_runs(run.journal()), set(claim.harmed)), report)
    quoted = ", ".join(f"'{key}'" for key in claim.harmed)
    records = run.airflow.query(
        f"SELECT Reverse_ETL_ID__c, fraud_detection_enabled__c FROM Product_Property__c WHERE Reverse_ETL_ID__c IN ({quoted})"
    )
    left = [record["Reverse_ETL_ID__c"] for record in records if not record["fraud_detection_enabled__c"]]
    assert len(records) == len(claim.harmed)
    assert not left, f"still wrong in Salesforce: {left}"
    assert Deployed.of(run.airflow).query == claim.deployed.query if claim.deployed else True, (
        "the regular sync writes wrong values"
    )


def assert_judged_last(runs: Iterable[CensusRun], report: Mapping[str, Any]) -> None:
    """The verdict was given when every Census run had ended. ``report``: ``validation.json``."""
    checked_at = datetime.fromisoformat(report["checked_at"])
    late = [run.id for run in runs if run.ended_at > checked_at]
    assert not late, f"Census runs {late} ended after the verdict of {checked_at}"


def _own(runs: Iterable[CensusRun], keys: set[str] | None) -> list[CensusRun]:
    """The runs that sent some of these records, or all runs."""
    return [run for run in runs if keys is None or run.keys & keys]
