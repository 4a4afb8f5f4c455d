"""A batch prepares itself during the prescribed wait, and starts its Census run right after it."""

import random
from datetime import datetime, timedelta
from threading import Timer
from typing import Any

import pytest

from feature_sync.config.run_config import OnBatchFailure
from feature_sync.config.settings import load_settings
from feature_sync.sending import sender as sender_module
from feature_sync.sending.batches import Attempt, AttemptStatus
from feature_sync.sending.failure_policy import FailurePolicy
from feature_sync.sending.pacing import Pause
from feature_sync.sending.sync_log import SyncLog
from feature_sync.storage.warehouse import Warehouse
from tests.sandbox.client import BACKFILL, Sandbox
from tests.wire.campaign import Campaign, begin, concluded

KINDS = {
    "WITH last_attempts AS": "read the log",
    "WITH batch AS": "read the records",
    "DESCRIBE TABLE EXTENDED": "prove that the table is ours",
    "INSERT OVERWRITE": "stage",
    "MERGE INTO": "record",
    "SELECT COUNT(*) AS records": "count what is staged",
}


def statements(entries: list[dict[str, Any]]) -> list[str]:
    """What each statement is for, in order."""
    texts = [
        " ".join(line.strip() for line in entry["sql"].splitlines() if line.strip() and not line.lstrip().startswith("--"))
        for entry in entries
        if entry["kind"] == "warehouse.statement"
    ]
    return [next(kind for words, kind in KINDS.items() if text.startswith(words)) for text in texts]


def at(entry: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(entry["at"])


def test_a_batch_is_staged_during_the_wait_and_triggered_after_it(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_CENSUS_PREPARE_SECONDS", "8")
    with Warehouse(load_settings()) as campaign.warehouse:
        campaign.send(1)
        before = campaign.sandbox.seq()

        attempt = begin(campaign.sender(2, wait_seconds=8))

    assert attempt.is_open
    [former, *_] = [at(entry) for entry in campaign.journal("census.run.ended")]
    since = campaign.sandbox.journal(after=before)
    [trigger] = [entry for entry in since if "/trigger" in entry.get("path", "")]
    prepared = [entry for entry in since if at(entry) < former + timedelta(seconds=8)]
    left = [entry for entry in since if former + timedelta(seconds=8) <= at(entry) and entry["seq"] < trigger["seq"]]
    assert at(trigger) >= former + timedelta(seconds=8)
    assert "stage" in statements(prepared)
    assert statements(left) == ["record", "count what is staged"], "only these two lie between the wait and the trigger"


def test_the_statements_of_a_batch_are_as_few_as_the_invariants_allow(campaign: Campaign) -> None:
    campaign.send(1)
    before = campaign.sandbox.seq()

    with Warehouse(load_settings()) as warehouse:
        campaign.warehouse = warehouse
        campaign.send(2)

    assert statements(campaign.sandbox.journal(after=before)) == [
        "read the log",
        "read the records",
        "prove that the table is ours",
        "stage",
        "prove that the table is ours",
        "record",
        "count what is staged",
        "record",
        "read the records",
        "record",
    ]


def test_a_run_of_somebody_else_during_the_preparation_is_waited_for(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_CENSUS_PREPARE_SECONDS", "3")
    campaign.sandbox.settings(census_work_seconds=1.5)
    with Warehouse(load_settings()) as campaign.warehouse:
        campaign.send(1)
        body = {"sync_id": BACKFILL, "ui_tag": "Manual", "full_sync": True}
        Timer(1.0, campaign.sandbox.control, ("POST", "runs", body)).start()

        pause = campaign.sender(2, wait_seconds=2.5).begin()

        assert isinstance(pause, Pause)
        assert campaign.triggers == 1, "nothing was triggered beside it"
        sender = campaign.sender(2, wait_seconds=2.5)
        attempt = begin(sender)
        assert concluded(sender, attempt, campaign.wait_for(attempt)).succeeded
    [foreign] = [at(entry) for entry in campaign.journal("census.run.ended") if entry["ui_tag"] == "Manual"]
    assert at(campaign.journal("census.run.started")[-1]) >= foreign + timedelta(seconds=2.5)


def test_a_batch_that_has_slept_through_its_turn_is_checked_again(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sender_module, "MAX_OVERSLEPT_SECONDS", -1_000)  # as if the machine had been suspended for long
        pause = campaign.sender(1).begin()

    assert isinstance(pause, Pause)
    assert "checked again" in pause.reason
    assert campaign.triggers == 0
    assert campaign.send(1).succeeded


def random_log(chance: random.Random, run_id: str) -> list[Attempt]:
    """Attempts at a few batches, in the order in which they were made."""
    numbers: dict[int, int] = {}
    attempts = []
    for _ in range(chance.randrange(1, 14)):
        batch = chance.randrange(1, 6)
        numbers[batch] = numbers.get(batch, 0) + 1
        status = chance.choice([status for status in AttemptStatus if status is not AttemptStatus.SENDING])
        attempts.append(
            Attempt(
                run_id=run_id,
                batch_number=batch,
                number=numbers[batch],
                status=status,
                records=chance.choice([4, 50]),
                generation=chance.choice([0, 0, 3]),
                resends_rejections_of=chance.choice([None, 1]),
                records_rejected=chance.choice([None, 0, 1, 40]),
            )
        )
    return attempts


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.usefixtures("sandbox")
def test_the_policy_decides_from_a_few_attempts_as_from_all_of_them(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    run_id = f"policy-{seed}"
    with Warehouse(load_settings()) as warehouse:
        log = SyncLog(warehouse)
        for attempt in random_log(chance, run_id):
            log.record(attempt)
        everything = log.last_attempts(run_id)
        for policy in (FailurePolicy(OnBatchFailure.CONTINUE, 2), FailurePolicy(OnBatchFailure.STOP, 3)):
            for batch in (1, 3, 9):
                for generation in (0, 3):
                    few = log.attempts_to_judge(run_id, batch, policy.most_failures, generation)
                    assert few.get(batch) == everything.get(batch)
                    assert len(few) <= policy.most_failures + 1
                    # With all attempts at hand it may name another failure of the same row.
                    from_few, from_all = (policy.reason_to_halt(known.values(), batch, generation) for known in (few, everything))
                    assert bool(from_few) == bool(from_all), (from_few, from_all)


def test_a_thousand_batches_that_were_held_back_hide_no_failure(sandbox: Sandbox) -> None:
    with Warehouse(load_settings()) as warehouse:
        log = SyncLog(warehouse)
        for number in (1, 2, 3):
            log.record(Attempt("held", number, 1, AttemptStatus.FAILED, records=4))
        values = ", ".join(f"('held', {number}, 1, 0, 'halted', 4, now() + INTERVAL 1 HOUR)" for number in range(4, 1004))
        columns = "run_id, batch_number, attempt, series, status, records, opened_at"
        sandbox.sql(f"INSERT INTO {load_settings().sync_log_table} ({columns}) VALUES {values}")

        found = log.attempts_to_judge("held", 1004, 3, 0)

    assert sorted(found) == [1, 2, 3]
    assert FailurePolicy(OnBatchFailure.CONTINUE, 3).reason_to_halt(found.values(), 1004, 0).startswith("batches 001, 002, 003")
