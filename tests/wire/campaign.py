"""A frozen payload of a few incident records, and the senders of its batches, against the sandbox."""

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from feature_sync.backfill import payload
from feature_sync.census.hook import CensusHook
from feature_sync.census.models import SyncRun
from feature_sync.config.run_config import OnBatchFailure
from feature_sync.config.settings import load_settings
from feature_sync.sending.adoption import Patience
from feature_sync.sending.batches import Attempt, Batch
from feature_sync.sending.failure_policy import FailurePolicy
from feature_sync.sending.outcome import Outcome
from feature_sync.sending.pacing import Pause
from feature_sync.sending.sender import BatchSender
from feature_sync.sending.sync_log import SyncLog
from feature_sync.storage.warehouse import Warehouse
from tests.sandbox.client import BACKFILL, Sandbox, eventually

IMPATIENT = Patience(
    lookup_seconds=0.5,
    lookup_pause=0.1,
    flight_seconds=1.5,
    records_quiet_seconds=1.5,
    read_back_seconds=0.5,
    read_back_pause=0.1,
)
SIZE = 4
"""Records a batch. Not a divisor of much, and enough for some to be rejected and some not."""


@dataclass
class Campaign:
    """One run of the DAG, without Airflow."""

    sandbox: Sandbox
    warehouse: Warehouse
    run_id: str
    batches: Sequence[Batch]
    began_after: int
    patience: Patience = field(default_factory=Patience)

    @classmethod
    def freeze(cls, sandbox: Sandbox, warehouse: Warehouse, batches: int, patience: Patience | None = None) -> "Campaign":
        run_id = f"test__{uuid.uuid4()}"
        ids = incident_keys(sandbox, batches * SIZE)
        payload.freeze_payload({"scope": "property_ids", "property_ids": ids, "batch_size": SIZE}, run_id)
        payload.release_payload(run_id)
        plan = [Batch(number, (number - 1) * SIZE + 1, number * SIZE, SIZE) for number in range(1, batches + 1)]
        return cls(sandbox, warehouse, run_id, plan, sandbox.seq(), patience or Patience())

    def sender(
        self,
        number: int = 1,
        *,
        wait_seconds: float = 0,
        generation: int = 0,
        census: CensusHook | None = None,
        **policy: Any,
    ) -> BatchSender:
        """A sender as a new worker process has it: it knows nothing of earlier ones."""
        return BatchSender(
            warehouse=self.warehouse,
            census=census or CensusHook(),
            sync_id=BACKFILL,
            run_id=self.run_id,
            batch=self.batches[number - 1],
            wait_seconds=wait_seconds,
            policy=FailurePolicy(OnBatchFailure(policy.get("on_batch_failure", "continue")), policy.get("max_failures", 3)),
            generation=generation,
            patience=self.patience,
        )

    def send(self, number: int = 1, **options: Any) -> Outcome:
        sender = self.sender(number, **options)
        attempt = begin(sender)
        return concluded(sender, attempt, self.wait_for(attempt))

    def wait_for(self, attempt: Attempt) -> SyncRun:
        run_id = attempt.sync_run_id
        assert run_id is not None
        hook = CensusHook()

        def look() -> SyncRun | None:
            run = hook.get_run(run_id)
            return None if run.is_active else run

        return eventually(look)

    def attempt(self, number: int = 1) -> Attempt:
        attempt = SyncLog(self.warehouse).last_attempt(self.run_id, number)
        assert attempt is not None
        return attempt

    def journal(self, kind: str) -> list[dict[str, Any]]:
        return self.sandbox.journal(kind, self.began_after)

    @property
    def triggers(self) -> int:
        """How many trigger requests reached Census."""
        return sum("/trigger" in entry["path"] for entry in self.journal("census.request"))

    @property
    def runs(self) -> int:
        """How many runs were really started."""
        return len(self.journal("census.run.started"))

    def sent_keys(self) -> list[list[str]]:
        return [sorted(entry["keys"]) for entry in self.journal("salesforce.transaction")]


def incident_keys(sandbox: Sandbox, most: int) -> list[str]:
    """The first keys of the incident's records."""
    rows = sandbox.soql(
        f"SELECT Reverse_ETL_ID__c FROM Product_Property__c WHERE CreatedDate >= 2025-11-21T00:00:00Z "
        f"AND CreatedDate < 2025-11-22T00:00:00Z ORDER BY Reverse_ETL_ID__c LIMIT {most}"
    )["records"]
    return [row["Reverse_ETL_ID__c"] for row in rows]


@contextmanager
def sent_unseen(sandbox: Sandbox) -> Iterator[Campaign]:
    """One batch that was sent while the replication stands still, so the replica does not show it. It changed each record."""
    for key in incident_keys(sandbox, SIZE):
        path = f"sobjects/Product_Property__c/Reverse_ETL_ID__c/{key}"
        assert sandbox.salesforce("PATCH", path, json={"Fraud_Detection_Start_Date__c": "2018-01-01"}).ok
    sandbox.control("POST", "replication", {})
    sandbox.settings(replication_stalled=True)
    with Warehouse(load_settings()) as warehouse:
        campaign = Campaign.freeze(sandbox, warehouse, batches=1)
        assert campaign.send().succeeded
        yield campaign
    sandbox.settings(replication_stalled=False)


def concluded(sender: BatchSender, attempt: Attempt, run: SyncRun, seconds: float = 60) -> Outcome:
    """The outcome, once the sender need not pause any more."""
    end = time.monotonic() + seconds
    while isinstance(step := sender.conclude(attempt, run), Pause):
        assert time.monotonic() < end, step.reason
        time.sleep(0.1)
    return step


def begin(sender: BatchSender, seconds: float = 60) -> Attempt:
    """The attempt, once the sender need not pause any more."""
    end = time.monotonic() + seconds
    while isinstance(step := sender.begin(), Pause):
        assert time.monotonic() < end, step.reason
        time.sleep(min(0.1, step.seconds or 0.1))
    return step
