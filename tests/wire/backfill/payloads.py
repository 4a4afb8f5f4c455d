"""Frozen payloads for tests, and what they look like afterwards."""

import csv
import json
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from feature_sync.backfill.payload import CheckedPayload, check_payload, export_csv, freeze_payload
from feature_sync.backfill.plan import plan_batches, plan_probes
from feature_sync.backfill.scope import LeftOut
from feature_sync.config.fields import load_fields
from feature_sync.config.problems import GuardError
from feature_sync.config.settings import load_settings
from tests.sandbox.client import BATCH_TABLE, Sandbox

DAY = date(2025, 11, 21)
INCIDENT = {"scope": "created_between", "created_from": "2025-11-21", "created_to": "2025-11-21"}
FIELDS = load_fields()
FEATURES = "crm.sfdc_dbx.product_property_w_features"
REPLICA = "crm.salesforce.product_property_c"


@dataclass(frozen=True, slots=True)
class Frozen:
    """What the steps returned for a run."""

    frozen: dict[str, Any]
    checked: CheckedPayload
    exported: dict[str, Any]
    batches: list[dict[str, Any]]

    @property
    def folder(self) -> Path:
        return Path(self.exported["folder"])

    @property
    def full_csv(self) -> Path:
        return Path(self.exported["full_csv"])

    @property
    def preview(self) -> dict[str, Any]:
        return json.loads((self.folder / "preview.json").read_text())

    def parts(self) -> list[Path]:
        return sorted((self.folder / "feature_backfill_batches").iterdir())


def frozen(records: int, **left_out: int) -> dict[str, Any]:
    """What the freeze returns."""
    return {"records": records, "left_out": asdict(LeftOut(**left_out))}


def run_steps(conf: dict[str, Any], run_id: str) -> Frozen:
    counts = freeze_payload(conf, run_id)
    checked = check_payload(conf, run_id, frozen=counts)
    exported = export_csv(run_id, DAY)
    plan_probes(conf, run_id)
    return Frozen(counts, checked, exported, plan_batches(conf, run_id))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


FLAGS = [product.enabled.column for product in FIELDS.products]
FRAUD, RENT = FIELDS.products[0], FIELDS.products[-1]


def refusal(run_id: str, conf: dict[str, Any] | None = None) -> list[str]:
    """The problems of a payload that is refused."""
    with pytest.raises(GuardError) as refused:
        check_payload(conf or {}, run_id)
    return refused.value.problems


def names(problems: list[str]) -> list[str]:
    return [problem.partition(":")[0] for problem in problems]


def records_left(sandbox: Sandbox, run_id: str) -> int:
    [[records]] = sandbox.sql(f"SELECT count(*) FROM {load_settings().payload_table} WHERE run_id = '{run_id}'")
    return records


def records_released(sandbox: Sandbox, run_id: str) -> int:
    """How many may be staged."""
    table = load_settings().payload_table
    [[records]] = sandbox.sql(f"SELECT count(*) FROM {table} WHERE run_id = '{run_id}' AND released_at IS NOT NULL")
    return records


class SeenFromOutside:
    """What reached Census, Salesforce and the batch table since it was made, as the sandbox's journal has it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.after = sandbox.seq()

    @property
    def effects(self) -> list[Any]:
        entries = self.sandbox.journal(after=self.after)
        assert any(entry["kind"] == "warehouse.statement" for entry in entries), "the journal was not written"
        return [
            entry
            for entry in entries
            if entry["kind"] in ("census.run.started", "salesforce.transaction")
            or (entry["kind"] == "census.request" and entry["method"] != "GET")
            or (entry["kind"] == "warehouse.statement" and "REPLACE" in entry["sql"] and BATCH_TABLE in entry["sql"])
        ]
