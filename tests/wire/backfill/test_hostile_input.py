"""Values that somebody chose to do harm: bound in SQL, kept in a folder, neutralised in a CSV cell."""

import csv
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from feature_sync.backfill.payload import check_payload, export_csv, freeze_payload, release_payload
from feature_sync.backfill.plan import plan_batches, plan_probes
from feature_sync.backfill.preconditions import check_preconditions
from feature_sync.backfill.validation import SalesforceDiffersError, validate
from feature_sync.census.models import RowRecord
from feature_sync.config.problems import RunConfigError
from feature_sync.config.settings import load_settings
from feature_sync.sending.batches import Attempt, AttemptStatus
from feature_sync.sending.sync_log import SyncLog
from feature_sync.storage.warehouse import Warehouse
from tests.sandbox.client import Sandbox

DAY = date(2025, 11, 21)
REPLICA = "crm.salesforce.product_property_c"
MAX_BATCHES = 1024
SHORT = 1_000
Conf = dict[str, Any]


@pytest.fixture(scope="module")
def ids(world: Sandbox) -> list[str]:
    """Six properties that no guard minds."""
    rows = world.sql(
        f"SELECT replica.snappt_property_id_c FROM {REPLICA} AS replica"
        " INNER JOIN crm.sfdc_dbx.product_property_w_features AS features ON features.property_id = replica.snappt_property_id_c"
        " WHERE NOT replica.is_deleted AND features.fraud_enabled AND replica.snappt_property_id_c = replica.reverse_etl_id_c"
        " ORDER BY 1 LIMIT 6"
    )
    return [row[0] for row in rows]


@pytest.fixture
def output(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:  # noqa: ARG001 - the environment
    """A folder deep enough that climbing out of it stays in sight."""
    folder = tmp_path / "a" / "b" / "output"
    monkeypatch.setenv("FEATURE_SYNC_OUTPUT_PATH", str(folder))
    return folder


def run_steps(conf: Conf, run_id: str) -> list[dict[str, Any]]:
    """All steps up to the plan, but for the first."""
    freeze_payload(conf, run_id)
    check_payload(conf, run_id)
    export_csv(run_id, DAY)
    return [*plan_probes(conf, run_id), *plan_batches(conf, run_id)]


def payloads(sandbox: Sandbox) -> dict[str, int]:
    return dict(sandbox.sql(f"SELECT run_id, count(*) FROM {load_settings().payload_table} GROUP BY 1"))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(None not in row and None not in row.values() for row in rows), "a cell was torn apart"
    return rows


@pytest.mark.usefixtures("output")
class TestWarehouse:
    @pytest.fixture
    def statements(self, sandbox: Sandbox) -> Callable[[], list[str]]:
        """The SQL since the last call."""
        seen = [sandbox.seq()]

        def since() -> list[str]:
            entries = sandbox.journal(after=seen[0])
            seen[0] = max(entry["seq"] for entry in entries)
            return [entry["sql"] for entry in entries if entry["kind"] == "warehouse.statement"]

        return since

    def test_the_sql_is_the_same_whatever_the_values(self, ids: list[str], statements: Callable[[], list[str]]) -> None:
        plain: Conf = {"scope": "property_ids", "property_ids": ids[:2]}
        check_preconditions(plain, MAX_BATCHES)
        run_steps(plain, "plain")
        expected = statements()
        hostile: Conf = {
            "scope": "property_ids",
            "property_ids": ids[2:],
            "batch_size": 3,
            "wait_seconds": 77,
            "unmatched": "skip",
            "allow_mass_disable": True,
        }

        check_preconditions(hostile, MAX_BATCHES)
        run_steps(hostile, "x' OR '1'='1'; DROP TABLE rds.pg_rds_public.properties; --")

        assert statements() == expected
        assert len(expected) > 20

    def test_days_are_bound(self, statements: Callable[[], list[str]]) -> None:
        counts = []
        for day in ("2025-11-20", "2025-11-21"):
            conf = {"scope": "created_between", "created_from": day, "created_to": day}
            counts.append(check_preconditions(conf, MAX_BATCHES)["records"])
        sent = statements()

        assert counts[0] != counts[1] == 1_296
        assert sent[: len(sent) // 2] == sent[len(sent) // 2 :]

    def test_ids_at_the_limit_of_what_is_allowed_are_bound(self, statements: Callable[[], list[str]]) -> None:
        conf = {"scope": "property_ids", "property_ids": [f"--_DROP-TABLE--_{number:048d}" for number in range(10_000)]}

        with pytest.raises(RunConfigError, match="10,000 ids that no record in Salesforce has: --_DROP-TABLE--_0"):
            check_preconditions(conf, MAX_BATCHES)

        assert not any("DROP-TABLE" in sql for sql in statements())

    @pytest.mark.parametrize("begin", ["..~--+:", "'; --", "été/<b>\u202e"])
    def test_a_run_id_at_the_limit_of_what_is_allowed_is_bound(self, statements: Callable[[], list[str]], begin: str) -> None:
        run_id = f"{begin}DROP_".ljust(250, "~")

        with pytest.raises(RunConfigError, match="there is no payload of such a run") as refused:
            check_preconditions({"undo_run_id": run_id}, MAX_BATCHES)

        assert len(run_id) == 250
        assert len(str(refused.value)) < SHORT
        assert str(refused.value).isascii()
        assert not set("<>") & set(str(refused.value))
        assert not any("DROP_" in sql for sql in statements())


RUN_IDS = {"up": "../x", "quotes": "x' OR '1'='1", "longest": "r" * 250, "longest-not-ascii": "\U0001f4a5é/:+" * 50}


class TestRunIds:
    @pytest.mark.parametrize("name", RUN_IDS)
    def test_the_steps_work_on_that_run_alone_and_leave_nothing_elsewhere(
        self, sandbox: Sandbox, output: Path, ids: list[str], name: str
    ) -> None:
        run_id = RUN_IDS[name]
        freeze_payload({"scope": "property_ids", "property_ids": ids[:2]}, "neighbour")
        before = payloads(sandbox)

        run_steps({"scope": "property_ids", "property_ids": ids[2:], "batch_size": 3}, run_id)

        assert payloads(sandbox) == before | {run_id: 4}
        [folder] = output.iterdir()
        files = [path for path in output.parents[1].rglob("*") if path.is_file()]
        assert sorted(str(path.relative_to(folder)) for path in files) == [
            "feature_backfill_20251121.csv",
            "feature_backfill_batches/feature_backfill_batch_001_records_1-3.csv",
            "feature_backfill_batches/feature_backfill_batch_002_records_4-4.csv",
            "preview.json",
        ]
        assert json.loads((folder / "preview.json").read_text())["run_id"] == run_id
        assert sorted(row["reverse_etl_id_c"] for row in rows_of(folder / "feature_backfill_20251121.csv")) == ids[2:]


CELLS = {
    "=cmd|' /C calc'!A0": "'=cmd|' /C calc'!A0",
    "@SUM(1)": "'@SUM(1)",
    "+1+1": "'+1+1",
    "-2+3": "'-2+3",
    "\t=1": "'\t=1",
    "\r=1": "'\r=1",
    "<script>alert(1)</script>": "<script>alert(1)</script>",
    'say "hi",\r\n"then" go;': 'say "hi",\r\n"then" go;',
    '"': '"',
    "'=1": "'=1",
    "ünï|ö": "ünï|ö",
    "1=1": "1=1",
}
"""What may come from Salesforce, and what Python's csv module reads back from its cell."""
REASON = '=HYPERLINK("http://x","<b>")\n\r\tand more'


def literal(text: str) -> str:
    for character, escaped in {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}.items():
        text = text.replace(character, escaped)
    return f"'{text}'"


class TestCells:
    def test_keys_and_reasons_from_salesforce_stay_in_their_cells_and_are_no_formulas(
        self, sandbox: Sandbox, output: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keys = f"ARRAY({', '.join(literal(key) for key in CELLS)})"
        incident = (
            f"SELECT *, row_number() OVER (ORDER BY id) AS number FROM {REPLICA} WHERE CAST(created_date AS DATE) = '{DAY}'"
        )
        sandbox.sql(
            f"CREATE TABLE crm.sfdc_dbx.hostile_copy AS SELECT * EXCEPT (number) FROM ({incident}) WHERE number <= {len(CELLS)}"
        )
        monkeypatch.setenv("FEATURE_SYNC_SALESFORCE_TABLE", "crm.sfdc_dbx.hostile_copy")
        conf = {"scope": "all", "batch_size": 5}

        freeze_payload(conf, "cells")
        # No run freezes such keys, because no property has them. Whatever a payload holds, its files are safe to open.
        sandbox.sql(
            f"UPDATE {load_settings().payload_table} SET reverse_etl_id_c = element_at({keys}, CAST(record_number AS INT))"
            " WHERE run_id = 'cells'"
        )
        release_payload("cells")
        export_csv("cells", DAY)
        plan_probes(conf, "cells")
        batches = plan_batches(conf, "cells")
        with Warehouse(load_settings()) as warehouse:
            log = SyncLog(warehouse)
            for batch in batches:
                keys_of = {"run_id": "cells", "batch_number": batch["number"], "resends_attempt": None, "attempt": 1}
                sent = [row["upsert_key"] for row in warehouse.fetch_all("sending/select_batch_keys", keys_of)]
                records = len(sent)
                attempt = Attempt("cells", batch["number"], 1, AttemptStatus.FAILED, records, records_rejected=records)
                log.record(attempt)
                rejected = [RowRecord(identifier=key, status="rejected", status_message=REASON) for key in sent]
                log.record_rejections(attempt, rejected)
        with pytest.raises(SalesforceDiffersError):
            validate({}, "cells")

        [folder] = output.iterdir()
        cells = sorted(CELLS.values())
        parts = sorted((folder / "feature_backfill_batches").iterdir())
        rejections = rows_of(folder / "rejected_records.csv")
        assert sorted(row["reverse_etl_id_c"] for row in rows_of(folder / "feature_backfill_20251121.csv")) == cells
        assert [len(rows_of(part)) for part in parts] == [5, 5, 2]
        assert sorted(row["reverse_etl_id_c"] for part in parts for row in rows_of(part)) == cells
        assert sorted(row["reverse_etl_id_c"] for row in rejections) == cells
        assert {row["reverse_etl_id_c"] for row in rows_of(folder / "mismatches.csv")} == set(cells)
        assert {row["reason"] for row in rejections} == {'\'=HYPERLINK("http://x","<b>") and more'}
        stored = sandbox.sql(f"SELECT reverse_etl_id_c FROM {load_settings().payload_table} WHERE run_id = 'cells'")
        assert sorted(row[0] for row in stored) == sorted(CELLS)
