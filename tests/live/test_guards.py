"""What keeps a wrong value from being sent, and takes one back, on a live Airflow with a person who answers over its REST API."""

import csv
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from feature_sync.config.names import CENSUS_POOL
from laptop.environment import Secrets
from sandbox.tokens import CENSUS_PERSONAL_TOKEN, SALESFORCE_SESSION, WAREHOUSE_TOKEN
from tests.live.runs import DAG_ID, LiveAirflow, LiveRun, eventually, incident_ids
from tests.receiver import TOKEN

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]
APPROVAL = "approve_mass_disable"
IDS = incident_ids(560, 20)


@pytest.fixture
def loose_pool(live: LiveAirflow) -> Iterator[None]:
    """The pool as a careless person would make it."""

    live.stack.airflow.create_pool(CENSUS_POOL, 3, "", include_deferred=False)
    yield
    live.stack.airflow.create_pool(CENSUS_POOL, 1, "", include_deferred=True)


def question_of(live: LiveAirflow, run: LiveRun) -> str:
    return str(eventually(lambda: live.stack.airflow.question(DAG_ID, run.run_id, APPROVAL)))


def enabled(live: LiveAirflow) -> int:
    """How many of the records have Fraud Detection in Salesforce itself."""
    quoted = ", ".join(f"'{key}'" for key in IDS)
    query = f"SELECT Id FROM Product_Property__c WHERE Fraud_Detection_Enabled__c = true AND Reverse_ETL_ID__c IN ({quoted})"
    url = f"{live.stack.sandbox.url}/services/data/v59.0/query/"
    answer = requests.get(url, params={"q": query}, headers={"Authorization": f"Bearer {SALESFORCE_SESSION}"}, timeout=30)
    return int(answer.json()["totalSize"])


def sent(run: LiveRun) -> int:
    return sum(entry["kind"] == "census.run.started" for entry in run.journal())


def writes(run: LiveRun) -> list[str]:
    """Whatever was staged, or asked of Census but to be read."""
    staged = [entry["sql"] for entry in run.journal() if "INSERT OVERWRITE" in entry.get("sql", "")]
    calls = [entry["path"] for entry in run.journal() if entry["kind"] == "census.request" and entry["method"] != "GET"]
    return staged + calls


@pytest.mark.usefixtures("loose_pool")
def test_a_pool_that_would_not_keep_batches_apart_is_refused(live: LiveAirflow) -> None:
    run = live.trigger_ids(IDS)

    assert run.wait() == "failed"
    error = run.error("check_preconditions")
    assert "Pool census_sync has 3 slots; it must have 1" in error
    assert "does not count deferred tasks" in error
    assert "airflow pools set census_sync 1" in error
    assert writes(run) == []


@pytest.mark.long
def test_a_run_is_looked_at_first_then_sent_then_taken_back(live: LiveAirflow) -> None:
    look = live.trigger_ids(IDS, batch_size=10, wait_seconds=1, dry_run=True)
    looked = look.wait()
    preview = json.loads((look.folder / "preview.json").read_text())
    fraud = preview["products"][0]

    assert looked == "success"
    assert enabled(live) == 0
    assert (fraud["enabled_now"], fraud["to_disable"]) == (0, 0)
    assert fraud["to_enable"] == fraud["enabled_after"] > len(IDS) // 2
    assert f"| Fraud Detection      |          0 | {fraud['to_enable']:>10} |" in look.log("check_payload")
    assert {look.task(task_id).state for task_id in ("wait_for_copy", "validate", APPROVAL)} == {"skipped"}
    assert "Dry run: no batch is sent" in look.log("plan_probes")
    assert writes(look) == []

    run = live.trigger_ids(IDS, batch_size=10, wait_seconds=1)
    assert run.wait() == "success", run.error("validate")
    assert enabled(live) == fraud["to_enable"]

    refused = live.trigger(undo_run_id=run.run_id)
    assert refused.wait() == "failed"
    refusal = f"mass_disable: Fraud Detection would turn from True to False for {fraud['to_enable']} of"
    assert refusal in refused.error("check_payload")
    assert writes(refused) == []

    rejected = live.trigger(undo_run_id=run.run_id, allow_mass_disable=True)
    question = question_of(live, rejected)
    time.sleep(3)
    live.stack.airflow.answer(DAG_ID, rejected.run_id, APPROVAL, "Reject")
    assert rejected.wait() == "failed"
    assert refusal in question
    assert f"| Fraud Detection      | {fraud['to_enable']:>10} |          0 |" in question
    assert writes(rejected) == []

    undo = live.trigger(undo_run_id=run.run_id, allow_mass_disable=True, batch_size=10, wait_seconds=1)
    question_of(live, undo)  # and answered at once, which Airflow by itself would not bear
    assert writes(undo) == [], "nothing is sent before the answer"
    live.stack.airflow.answer(DAG_ID, undo.run_id, APPROVAL, "Approve")
    assert undo.wait() == "success", undo.error("validate")
    [kept] = json.loads((undo.folder / "approvals.json").read_text())[APPROVAL]
    assert enabled(live) == 0
    turn_off = f"Turn Fraud Detection off for {fraud['to_enable']} records"
    assert [f"warning: {turn_off}" in undo.asked()[0], f"info: Approved by admin: {turn_off}" in undo.asked()[1]] == [True, True]
    assert len(undo.asked()) == 2
    assert sent(undo) == 2
    assert undo.validation()["properties_mismatched"] == 0
    assert (kept["answer"], kept["by"]) == ("Approve", "admin")
    assert f"| Fraud Detection      | {fraud['to_enable']:>10} |" in kept["question"]
    with (undo.folder / "records_not_undone.csv").open() as file:
        reasons = [row["reason"] for row in csv.DictReader(file)]
    assert len(reasons) == preview["records"] - undo.validation()["properties_checked"]


def test_no_file_that_the_runs_wrote_holds_a_token(live: LiveAirflow) -> None:
    """Logs, rendered templates, XComs (in the database) and the runs' files."""
    folder = Path(live.stack.folder)
    own = {folder / "secrets.json", folder / "passwords.json"}
    # The sandbox knows the tokens that it accepts. What it was sent, apart from the headers, is in its journal.
    sandbox = folder / "sandbox"
    files = [path for path in folder.rglob("*") if path.is_file() and path not in own and not path.is_relative_to(sandbox)]
    secrets = Secrets.of_folder(folder)
    tokens = [TOKEN, WAREHOUSE_TOKEN, CENSUS_PERSONAL_TOKEN, secrets.admin_password, secrets.fernet_key, secrets.jwt_secret]

    assert live.receiver, "failures are told here"
    assert live.receiver.messages, "a message was sent, so its channel's token was used"
    assert len([path for path in files if path.suffix == ".log"]) > 20
    assert any(path.name == "airflow.db" for path in files)
    assert any(path.name == "validation.json" for path in files)
    journal = json.dumps(live.stack.sandbox.journal())
    for token in tokens:
        assert [path for path in files if token.encode() in path.read_bytes()] == []
        assert token not in journal
