"""Workers without a shared disk, in an Airflow that stores plain JSON only: no task may need a file that another has written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from feature_sync.backfill.payload import check_payload, export_csv, freeze_payload
from feature_sync.backfill.plan import plan_batches, plan_probes
from feature_sync.backfill.preconditions import check_preconditions
from feature_sync.backfill.retention import remove_old_payloads
from feature_sync.backfill.validation import SalesforceDiffersError, validate
from feature_sync.config.settings import load_settings
from feature_sync.replica.state import read_replica_state
from feature_sync.sending.batches import Batch
from feature_sync.storage.warehouse import Warehouse
from tests.sandbox.client import Sandbox, eventually
from tests.strict_site import stored
from tests.wire.backfill.payloads import DAY, rows_of
from tests.wire.campaign import Campaign

NewWorker = Callable[[], Path]


@pytest.fixture
def new_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NewWorker:
    """From now on everything happens on another worker, with an empty disk. The disks of the others are gone."""

    def new() -> Path:
        for disk in tmp_path.iterdir():
            disk.rename(tmp_path.with_name(f"{tmp_path.name}-gone-{disk.name}"))
        disk = tmp_path / f"disk-{len(list(tmp_path.parent.iterdir()))}"
        disk.mkdir()
        monkeypatch.setenv("FEATURE_SYNC_OUTPUT_PATH", str(disk))
        return disk

    return new


def files_of(disk: Path) -> list[str]:
    return sorted(path.relative_to(disk).as_posix() for path in disk.rglob("*") if path.is_file())


def send(sandbox: Sandbox, run_id: str, batches: list[dict[str, Any]], new_worker: NewWorker) -> None:
    for batch in batches:
        new_worker()
        with Warehouse(load_settings()) as warehouse:
            one = Batch.from_xcom(stored(batch))
            campaign = Campaign(sandbox, warehouse, run_id, [one], sandbox.seq())
            assert campaign.send(1, wait_seconds=-2).succeeded


def test_each_task_does_its_work_on_an_empty_disk(sandbox: Sandbox, incident_ids: list[str], new_worker: NewWorker) -> None:
    conf = {"scope": "property_ids", "property_ids": incident_ids[:7], "batch_size": 3, "wait_seconds": 0}
    run_id = "workers apart/é:+'1'"

    new_worker()
    scope = stored(check_preconditions(conf, 1_024))
    new_worker()
    frozen = stored(freeze_payload(conf, run_id))
    new_worker()
    checked = stored(check_payload(conf, run_id).as_xcom())
    export_disk = new_worker()
    exported = stored(export_csv(run_id, DAY))
    plan_disk = new_worker()
    probes = stored(plan_probes(conf, run_id))
    new_worker()
    batches = stored(plan_batches(conf, run_id))
    send(sandbox, run_id, batches, new_worker)
    new_worker()
    eventually(lambda: read_replica_state(run_id, load_settings()).is_fresh)
    verdict_disk = new_worker()
    verdict = stored(validate(conf, run_id).as_xcom())

    assert (scope["records"], frozen["records"], checked["records"], exported["records"], probes) == (7, 7, 7, 7, [])
    assert verdict["result"] == "0 properties with mismatched feature data"
    assert verdict["properties_checked"] == 7
    lists = ("mismatches", "rejected_records", "rejected_then_accepted")
    assert [Path(name).name for name in files_of(verdict_disk)] == [
        *(f"{name}.{kind}" for name in lists for kind in ("csv", "xlsx")),
        "report.html",
        "validation.json",
    ]
    gone = verdict_disk.parent.parent
    [full] = gone.glob(f"*-gone-{export_disk.name}/*/feature_backfill_20251121.csv")
    parts = sorted(gone.glob(f"*-gone-{plan_disk.name}/*/feature_backfill_batches/*.csv"))
    assert [row for part in parts for row in rows_of(part)] == rows_of(full)
    assert [len(rows_of(part)) for part in parts] == [3, 3, 1]


def test_a_batch_that_was_not_sent_is_found_without_any_file(
    sandbox: Sandbox, incident_ids: list[str], new_worker: NewWorker
) -> None:
    conf = {"scope": "property_ids", "property_ids": incident_ids[7:13], "batch_size": 3, "wait_seconds": 0}
    run_id = "one-is-missing"
    new_worker()
    freeze_payload(conf, run_id)
    new_worker()
    check_payload(conf, run_id)
    batches = plan_batches(conf, run_id)
    send(sandbox, run_id, batches[:1], new_worker)
    eventually(lambda: read_replica_state(run_id, load_settings()).is_fresh)
    new_worker()

    with pytest.raises(SalesforceDiffersError, match="of 6 records 3 were sent, 0 rejected and 3 not sent"):
        validate(conf, run_id)


def test_an_undo_needs_no_file_of_the_run_that_it_undoes(
    sandbox: Sandbox, incident_ids: list[str], new_worker: NewWorker
) -> None:
    ids = incident_ids[13:16]
    conf = {"scope": "property_ids", "property_ids": ids, "batch_size": 3, "wait_seconds": 0}
    run_id = "rückgängig machen?\u202e/1"
    new_worker()
    freeze_payload(conf, run_id)
    check_payload(conf, run_id)
    send(sandbox, run_id, plan_batches(conf, run_id), new_worker)
    eventually(lambda: read_replica_state(run_id, load_settings()).is_fresh)
    undo = {"undo_run_id": run_id, "allow_mass_disable": True, "wait_seconds": 0}
    new_worker()

    scope = stored(check_preconditions(undo, 1_024))
    new_worker()
    frozen = stored(freeze_payload(undo, "undo"))
    new_worker()
    checked = stored(check_payload(undo, "undo").as_xcom())

    assert (scope["records"], frozen["records"], checked["records"]) == (3, 3, 3)
    assert checked["approval"], "products are turned off, so a person is asked"


@pytest.mark.usefixtures("sandbox")
def test_what_the_removal_of_old_payloads_returns_is_plain_json(new_worker: NewWorker) -> None:
    new_worker()

    assert set(stored(remove_old_payloads(lambda _: False))) == {"removed", "kept"}
