"""Two runs at once never both freeze a record, so that none is sent twice; and a run that is over holds nothing back."""

import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from feature_sync.backfill.payload import freeze_payload
from feature_sync.config.problems import GuardError, NotReadyError
from feature_sync.config.settings import load_settings
from feature_sync.sending.batches import Attempt, AttemptStatus
from feature_sync.sending.sync_log import SyncLog
from feature_sync.storage.warehouse import Warehouse
from tests.sandbox.client import Sandbox
from tests.wire.backfill import payloads
from tests.wire.backfill.payloads import records_left
from tests.wire.campaign import SIZE, incident_keys, sent_unseen


def goes_on(_: str) -> bool:
    return True


def is_over(_: str) -> bool:
    return False


def new_id(name: str) -> str:
    return f"{name}__{uuid.uuid4()}"


def named(ids: list[str], **more: Any) -> dict[str, Any]:
    return {"scope": "property_ids", "property_ids": ids, **more}


@pytest.fixture
def ids(sandbox: Sandbox) -> list[str]:
    return incident_keys(sandbox, 6)


@pytest.fixture(autouse=True)
def _no_payload(world: Sandbox) -> Iterator[None]:
    yield
    settings = load_settings()
    for table in (settings.payload_table, settings.sync_log_table):
        world.sql(f"DELETE FROM {table}")


@pytest.fixture
def first(ids: list[str]) -> str:
    """A run that has frozen four records and may send them."""
    run_id = new_id("first")
    freeze_payload(named(ids[:4]), run_id, is_over)
    return run_id


def refused(sandbox: Sandbox, conf: dict[str, Any], is_unfinished: Any = goes_on) -> list[str]:
    run_id = new_id("second")
    with pytest.raises(GuardError) as error:
        freeze_payload(conf, run_id, is_unfinished)
    assert records_left(sandbox, run_id) == 0, "a payload that is refused is removed"
    return error.value.problems


@pytest.mark.parametrize("scope", ["property_ids", "created_between", "all", "mismatched"])
def test_a_run_does_not_freeze_what_another_one_may_still_send(sandbox: Sandbox, ids: list[str], first: str, scope: str) -> None:
    confs: dict[str, dict[str, Any]] = {
        "property_ids": named(ids),
        "created_between": {"created_from": "2025-11-21", "created_to": "2025-11-21"},
    }

    [problem] = refused(sandbox, {"scope": scope, **confs.get(scope, {})})

    assert problem == (
        f"Run {first!r} has not ended, and it has frozen 4 records of this run, which would be sent twice. Wait until it has "
        'ended, then start a new run. If it waits for an answer under "Required actions", answer it. If nobody needs it any '
        "more, mark it as failed: then it holds nothing back."
    )
    assert records_left(sandbox, first) == 4


def test_other_records_are_none_of_its_business(ids: list[str], first: str) -> None:  # noqa: ARG001 - it has frozen
    assert freeze_payload(named(ids[4:]), new_id("second"), goes_on) == payloads.frozen(2)


def test_a_run_that_is_over_holds_nothing_back(ids: list[str], first: str) -> None:
    asked = []

    def over(run_id: str) -> bool:
        asked.append(run_id)
        return False

    assert freeze_payload(named(ids), new_id("second"), over) == payloads.frozen(6)
    assert set(asked) == {first}


def test_a_dry_run_shows_what_it_can_and_sends_nothing(ids: list[str], first: str, caplog: pytest.LogCaptureFixture) -> None:
    assert freeze_payload(named(ids, dry_run=True), new_id("second"), goes_on) == payloads.frozen(6)
    assert f"Without dry_run this run would be refused: Run '{first}' has not ended" in caplog.text


def test_its_own_second_try_is_not_another_run(ids: list[str], first: str) -> None:
    assert freeze_payload(named(ids[:4]), first, goes_on) == payloads.frozen(4)


def sending(warehouse: Warehouse, run_id: str) -> None:
    SyncLog(warehouse).record(Attempt(run_id, 1, 1, AttemptStatus.SENDING, 4, previous_sync_run_id=1, sync_run_id=2))


def test_a_batch_on_its_way_holds_its_records_although_its_run_was_stopped(sandbox: Sandbox, ids: list[str], first: str) -> None:
    with Warehouse(load_settings()) as warehouse:
        sending(warehouse, first)

    [problem] = refused(sandbox, named(ids), is_over)

    assert problem.startswith(f"Run {first!r} was stopped while 4 records of this run went to Salesforce")
    assert "Clear the `send` task that was stopped" in problem
    assert "CENSUS_RUN_LIMIT_SECONDS (" in problem


def test_but_not_for_ever(sandbox: Sandbox, ids: list[str], first: str) -> None:
    settings = load_settings()
    with Warehouse(settings) as warehouse:
        sending(warehouse, first)
    limit = settings.census_run_limit_seconds + 1
    sandbox.sql(f"UPDATE {settings.sync_log_table} SET opened_at = current_timestamp() - INTERVAL '{limit}' SECOND")

    assert freeze_payload(named(ids), new_id("second"), is_over) == payloads.frozen(6)


def test_records_that_only_seem_to_differ_because_the_replica_is_late_are_waited_for(sandbox: Sandbox) -> None:
    with sent_unseen(sandbox) as campaign:
        run_id = new_id("second")
        with pytest.raises(NotReadyError, match=rf"Run '{campaign.run_id}' has sent {SIZE} records of this run, and .* does not"):
            freeze_payload({"scope": "mismatched"}, run_id, is_over)
        assert records_left(sandbox, run_id) == 0
    sandbox.control("POST", "replication", {})

    freeze_payload({"scope": "mismatched"}, new_id("third"), is_over)


def test_of_two_runs_in_the_same_moment_one_is_refused(sandbox: Sandbox, ids: list[str]) -> None:
    def begin(run_id: str) -> None:
        try:
            barrier.wait()
            freeze_payload(named(ids), run_id, goes_on)
        except GuardError:
            refusals.append(run_id)

    for _ in range(3):
        refusals: list[str] = []
        barrier = threading.Barrier(2)
        runs = [new_id("one"), new_id("other")]
        threads = [threading.Thread(target=begin, args=(run_id,)) for run_id in runs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(refusals) == 1
        assert sorted(records_left(sandbox, run_id) for run_id in runs) == [0, 6]
        sandbox.sql(f"DELETE FROM {load_settings().payload_table}")


def test_an_undo_waits_for_the_run_that_it_undoes(sandbox: Sandbox) -> None:
    with sent_unseen(sandbox) as campaign:
        pass
    sandbox.control("POST", "replication", {})

    [problem] = refused(sandbox, {"undo_run_id": campaign.run_id})

    assert problem.startswith(f"Run {campaign.run_id!r} has not ended, and it has frozen {SIZE} records")
