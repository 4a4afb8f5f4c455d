"""Runs of a few records, planned and then sent without Airflow."""

import csv
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from feature_sync.backfill.payload import freeze_payload, release_payload
from feature_sync.backfill.plan import plan_batches
from feature_sync.backfill.validation import Validation, validate
from feature_sync.census.hook import CensusHook
from feature_sync.config.run_config import OnBatchFailure
from feature_sync.config.settings import load_settings
from feature_sync.replica.state import ReplicaState, read_replica_state
from feature_sync.sending.batches import Batch
from feature_sync.sending.failure_policy import FailurePolicy
from feature_sync.sending.outcome import Outcome
from feature_sync.sending.pacing import Pause
from feature_sync.sending.sender import BatchSender
from feature_sync.storage.warehouse import Warehouse
from tests.sandbox.client import BACKFILL, Sandbox, eventually

REPLICA = "crm.salesforce.product_property_c"


@dataclass(frozen=True, slots=True)
class Run:
    """A planned run of a few records."""

    id: str
    ids: list[str]
    batches: list[Batch]

    def send(self, numbers: Sequence[int] | None = None) -> list[Outcome]:
        """Send these batches, or all, without a pause: the negative wait makes up for Census's clock of whole seconds."""
        outcomes = []
        with Warehouse(load_settings()) as warehouse:
            census = CensusHook()
            for batch in self.batches:
                if numbers is not None and batch.number not in numbers:
                    continue
                sender = BatchSender(
                    warehouse,
                    census,
                    BACKFILL,
                    self.id,
                    batch,
                    wait_seconds=-2,
                    policy=FailurePolicy(OnBatchFailure.CONTINUE, 3),
                )
                while isinstance(step := sender.begin(), Pause):
                    time.sleep(0.1)
                assert step.sync_run_id is not None
                while (run := census.get_run(step.sync_run_id)).is_active:
                    time.sleep(0.05)
                while isinstance(outcome := sender.conclude(step, run), Pause):
                    time.sleep(0.1)
                outcomes.append(outcome)
        return outcomes

    def validate(self) -> Validation:
        return validate({}, self.id)

    def replica_state(self) -> ReplicaState:
        return read_replica_state(self.id, load_settings())

    def until_fresh(self) -> ReplicaState:
        return self.until_stale(0)

    def until_stale(self, records: int) -> ReplicaState:
        """Wait until the replica shows all but this many of the records sent."""
        return eventually(lambda: state if (state := self.replica_state()).records_stale == records else None)

    @property
    def folder(self) -> Path:
        return Path(load_settings().output_url) / self.id

    @property
    def report(self) -> dict[str, Any]:
        return json.loads((self.folder / "validation.json").read_text())

    @property
    def mismatches(self) -> list[dict[str, str]]:
        with (self.folder / "mismatches.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    @property
    def books(self) -> tuple[int, int, int, int]:
        records = self.report["records"]
        return records["in_scope"], records["sent"], records["rejected"], records["not_sent"]


Plan = Callable[..., Run]


def planner(world: Sandbox) -> Plan:
    """Plans runs over records of the incident, each over others, in batches of five."""
    rows = world.sql(
        f"SELECT replica.snappt_property_id_c FROM {REPLICA} AS replica"
        " INNER JOIN crm.sfdc_dbx.product_property_w_features AS features"
        " ON features.property_id = replica.snappt_property_id_c"
        " WHERE CAST(replica.created_date AS DATE) = '2025-11-21' AND features.fraud_enabled ORDER BY 1 LIMIT 200"
    )
    unused = iter([row[0] for row in rows])

    def planned(run_id: str, records: int = 12) -> Run:
        ids = [next(unused) for _ in range(records)]
        conf = {"scope": "property_ids", "property_ids": ids, "batch_size": 5, "wait_seconds": 0}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("FEATURE_SYNC_PARENT_COLUMN", "")  # so that records go in the order of their ids
            freeze_payload(conf, run_id)
        release_payload(run_id)
        return Run(run_id, ids, [Batch.from_xcom(batch) for batch in plan_batches(conf, run_id)])

    return planned
