"""A handful of records in tables of their own, so that a test can make one difference at a time."""

import csv
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from feature_sync.config.names import RECONCILIATION_DAG_ID
from feature_sync.config.settings import load_settings
from feature_sync.reconciliation.comparison import DriftError, compare, conclude
from feature_sync.reconciliation.verdict import Finding, Steps
from feature_sync.storage.run_files import run_files
from feature_sync.storage.warehouse import Parameters, Row, Warehouse
from tests.sandbox.client import Sandbox

NOT_HEALED = Steps(replica="success", comparison="success", approval="skipped", healing="skipped")
"""How the steps of a weekly run ended that healed nothing."""


def folder(run_id: str) -> Path:
    return Path(str(run_files(load_settings(), run_id, RECONCILIATION_DAG_ID).folder))


def validation(run_id: str) -> dict[str, Any]:
    return json.loads((folder(run_id) / "validation.json").read_text())


def differences(run_id: str) -> list[dict[str, str]]:
    with (folder(run_id) / "mismatches.csv").open() as file:
        return list(csv.DictReader(file))


def run_week(run_id: str) -> Finding:
    """The weekly run's comparison and its verdict, with nothing healed in between."""
    found = compare(run_id)
    with suppress(DriftError):
        conclude(run_id, found, NOT_HEALED, may_reuse=True)
    return found


class Few:
    """A handful of records that agree, in tables of their own, to make one difference at a time."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        settings = load_settings()
        self.properties, self.features, self.replica = (
            settings.properties_table,
            settings.features_table,
            settings.salesforce_table,
        )

    def sql(self, text: str) -> list[Any]:
        return self._sandbox.sql(text.format(properties=self.properties, features=self.features, replica=self.replica))

    def control(self, method: str, path: str, body: Mapping[str, Any]) -> None:
        self._sandbox.control(method, path, body)

    def ids(self, where: str = "TRUE") -> list[str]:
        return [row[0] for row in self.sql(f"SELECT snappt_property_id_c FROM {{replica}} WHERE {where} ORDER BY 1")]

    def compare(self) -> tuple[dict[str, Any], list[dict[str, str]]]:
        """What the weekly run finds: its report, and the rows of ``mismatches.csv``."""
        run_week("few")
        return validation("few"), differences("few")

    def listed(self, most: int = 100, compared_by: str = "listed") -> list[Row]:
        """What differs now, as the weekly run lists it."""
        with Warehouse(load_settings()) as warehouse:
            for statement in ("delete_differences", "record_differences"):
                warehouse.execute(f"reconciliation/{statement}", {"run_id": compared_by})
            values = {"compared_by": compared_by, "most": most, "run_id": None, "asked_at": None}
            return warehouse.fetch_all("reconciliation/select_differences", values)

    def query(self, statement: str, parameters: Parameters | None = None) -> list[Row]:
        """The rows of one of our statements."""
        with Warehouse(load_settings()) as warehouse:
            return warehouse.fetch_all(statement, parameters)


def few_records(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Few]:
    tables = {
        "rds.pg_rds_public.properties": "rds.pg_rds_public.few_properties",
        "crm.sfdc_dbx.product_property_w_features": "crm.sfdc_dbx.few_features",
        "crm.salesforce.product_property_c": "crm.salesforce.few_copy",
    }
    for name, (there, here) in zip(("PROPERTIES_TABLE", "FEATURES_TABLE", "SALESFORCE_TABLE"), tables.items(), strict=True):
        monkeypatch.setenv(f"FEATURE_SYNC_{name}", here)
        sandbox.sql(f"CREATE OR REPLACE TABLE {here} AS SELECT * FROM {there}")
    records = Few(sandbox)
    records.sql(
        "DELETE FROM {replica} WHERE is_deleted OR id NOT IN (SELECT id FROM {replica} WHERE NOT is_deleted AND "
        "CAST(created_date AS DATE) < DATE'2025-11-20' AND fraud_detection_enabled_c AND NOT idv_only_enabled_c "
        "ORDER BY id LIMIT 8)"
    )
    records.sql("DELETE FROM {properties} WHERE CAST(id AS STRING) NOT IN (SELECT snappt_property_id_c FROM {replica})")
    records.sql("DELETE FROM {features} WHERE property_id NOT IN (SELECT CAST(id AS STRING) FROM {properties})")
    yield records
    for here in tables.values():
        sandbox.sql(f"DROP TABLE {here}")
