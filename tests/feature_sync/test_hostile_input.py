"""Values that somebody chose to do harm: refused in a short and harmless message, or bound, or neutralised in a CSV cell."""

import csv
import json
import re
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from airflow.sdk import ObjectStoragePath

from feature_sync.census.models import RowRecord
from feature_sync.csv_files import write_csv
from feature_sync.outcome import AttemptStatus
from feature_sync.payload import check_payload, export_csv, freeze_payload, plan_batches, plan_probes, release_payload
from feature_sync.preconditions import check_preconditions
from feature_sync.run_config import DEFAULTS, RunConfigError, parse_run_config
from feature_sync.run_files import folder_name, run_files
from feature_sync.settings import load_settings
from feature_sync.sync_log import Attempt, SyncLog
from feature_sync.validation import ValidationError, validate
from feature_sync.warehouse import Warehouse
from tests.sandbox.client import Sandbox

DAY = date(2025, 11, 21)
COPY = "crm.salesforce.product_property_c"
MAX_BATCHES = 1024
SHORT = 1_000
Conf = dict[str, Any]

NEEDED_BESIDE: dict[str, Conf] = {
    "created_from": {"scope": "created_between", "created_to": "2025-11-21"},
    "created_to": {"scope": "created_between", "created_from": "2025-11-21"},
    "property_ids": {"scope": "property_ids"},
}
"""What makes a run config usable together with a good value of the parameter."""

GOOD_TEXTS = {
    "strategy": "batched",
    "scope": "all",
    "created_from": "2025-11-20",
    "created_to": "2025-11-22",
    "on_batch_failure": "stop",
    "unmatched": "skip",
    "undo_run_id": "manual__2025-11-21T00:00:00+00:00",
}
WHOLE_NUMBERS = ("batch_size", "wait_seconds", "max_consecutive_failures")
SWITCHES = ("allow_mass_disable", "dry_run")

TEXTS = {
    "quote": "it's",
    "double-quote": 'a"b',
    "backtick": "a`b",
    "semicolon": "all;",
    "sql-comment": "all -- x",
    "sql-block-comment": "all/**/",
    "sql": "'; DROP TABLE rds.pg_rds_public.properties; --",
    "sql-always-true": "x' OR '1'='1",
    "path": "../../etc/passwd",
    "windows-path": "..\\..\\boot.ini",
    "nul": "all\0",
    "cr-lf": "all\r\nSet-Cookie: a=b",
    "line-end-within": "a\nb",
    "unicode-line-end": "a\u2028b",
    "escape-sequence": "\x1b[2Jall",
    "formula": "=cmd()",
    "dde-formula": "=cmd|' /C calc'!A0",
    "template": "{{ conf }}",
    "shell": "$(id)",
    "format": "%s%n",
    "megabyte": "x" * 1_000_000,
    "megabyte-not-ascii": "\u00e9" * 1_000_000,
    "arabic-indic-digits": "\u0665\u0660",
    "fullwidth-digits": "\uff15\uff10",
    "fullwidth-day": "\uff12\uff10\uff12\uff15-11-21",
    "homoglyph": "\u0430ll",
    "right-to-left": "\u202ella",
    "zero-width": "al\u200bl",
    "lone-surrogate": "\ud800",
    "other-plane": "\U0001f4a5",
}
MARKUP = {
    "script": "<script>alert(1)</script>",
    "image": "<img src=x onerror=alert(1)>",
    "link": "[all](javascript:alert(1))<b>",
}


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else {"a": [1, {"b": None}]}


THINGS: dict[str, Any] = {
    "negative": -1,
    "huge": 10**30,
    "huge-negative": -(10**4000),
    "float": 1.0,
    "endless": float("inf"),
    "no-number": float("nan"),
    "list-with-numbers": [1, 2],
    "list-with-null": ["1", None],
    "list-with-bool": [True],
    "list-in-list": [["1"]],
    "10,001-ids": [str(number) for number in range(10_001)],
    "deep": nested(100),
    "object": {"$ne": None},
    "object-like-a-list": {"0": "1"},
}


def refusal(conf: Conf) -> RunConfigError:
    with pytest.raises(RunConfigError) as refused:
        parse_run_config(conf)
    return refused.value


def fault_of(parameter: str, value: Any) -> str | None:
    """Why this is not refused as it should be: by name, and in a message that does no harm wherever it is shown."""
    try:
        parse_run_config(NEEDED_BESIDE.get(parameter, {}) | {parameter: value})
    except RunConfigError as error:
        if any(not problem.startswith(f"{parameter} ") for problem in error.problems):
            return f"another parameter is named: {error.problems}"
        if len(str(error)) >= SHORT:
            return f"{len(str(error))} characters"
        if not all(32 <= ord(character) < 127 for problem in error.problems for character in problem):
            return f"more than plain text: {error.problems}"
        return None
    return "accepted"


def faults_of(parameter: str, values: Mapping[str, Any]) -> dict[str, str]:
    faults = {name: fault_of(parameter, value) for name, value in values.items()}
    return {name: fault for name, fault in faults.items() if fault}


def named(*values: Any) -> dict[str, Any]:
    return {repr(value)[:40]: value for value in values}


class TestRunConfig:
    @pytest.mark.parametrize("parameter", DEFAULTS)
    def test_hostile_texts_are_refused(self, parameter: str) -> None:
        assert faults_of(parameter, TEXTS) == {}

    def test_hostile_texts_among_the_ids_are_refused(self) -> None:
        assert faults_of("property_ids", {name: ["7", text, "8"] for name, text in TEXTS.items()}) == {}

    @pytest.mark.parametrize("parameter", DEFAULTS)
    def test_values_of_another_type_are_refused(self, parameter: str) -> None:
        assert faults_of(parameter, THINGS) == {}

    @pytest.mark.parametrize("parameter", [name for name in DEFAULTS if name not in SWITCHES])
    def test_a_switch_is_no_value_of_another_parameter(self, parameter: str) -> None:
        assert faults_of(parameter, named(True)) == {}

    @pytest.mark.parametrize("parameter", SWITCHES)
    def test_nothing_but_true_and_false_is_a_switch(self, parameter: str) -> None:
        assert faults_of(parameter, named(0, 1, "true", "false", "", None)) == {}

    @pytest.mark.parametrize("parameter", WHOLE_NUMBERS)
    def test_nothing_but_a_whole_number_is_one(self, parameter: str) -> None:
        assert faults_of(parameter, named("1", "", None, [1], 1.5, "1e0", "0x1", "\uff11")) == {}

    @pytest.mark.parametrize("parameter", GOOD_TEXTS)
    def test_a_good_text_is_refused_with_anything_around_it(self, parameter: str) -> None:
        good = GOOD_TEXTS[parameter]
        parse_run_config(NEEDED_BESIDE.get(parameter, {}) | {parameter: good})
        around = (f"{good}\n", f"{good}\0", f"{good}\u200b", f" {good}", f"{good} ", f"{good}'", f"'{good}'", f"{good};--")

        assert faults_of(parameter, dict(zip(map(ascii, around), around, strict=True))) == {}

    def test_ids_and_run_ids_end_at_their_limit(self) -> None:
        parse_run_config({"scope": "property_ids", "property_ids": ["7" * 64] * 10_000})
        parse_run_config({"undo_run_id": "r" * 250})

        assert fault_of("property_ids", ["7" * 65]) is None
        assert fault_of("property_ids", ["7"] * 10_001) is None
        assert fault_of("undo_run_id", "r" * 251) is None

    def test_all_parameters_at_once_are_refused_in_a_message_that_a_person_can_read(self) -> None:
        error = refusal(dict.fromkeys(DEFAULTS, TEXTS["megabyte"]))

        assert {problem.partition(" ")[0] for problem in error.problems} == set(DEFAULTS)
        assert len(str(error)) < 4 * SHORT

    def test_markup_is_not_repeated_as_it_came(self) -> None:
        for parameter in DEFAULTS:
            for text in MARKUP.values():
                value = [text] if parameter == "property_ids" else text
                error = refusal(NEEDED_BESIDE.get(parameter, {}) | {parameter: value})
                assert not set("<>") & set(str(error))

    def test_hostile_names_of_parameters_are_refused(self) -> None:
        for text in TEXTS.values():
            if text.isascii() and len(text) < SHORT:
                error = refusal({text: "x"})
                [problem] = error.problems
                assert "is not a parameter; known are strategy, " in problem
                assert all(32 <= ord(character) < 127 for character in problem)
                assert len(str(error)) < SHORT

    @pytest.mark.parametrize(
        "conf",
        [
            pytest.param({TEXTS["megabyte"]: 1}, id="one-huge"),
            pytest.param({f"name-{number}": 1 for number in range(10_000)}, id="very-many"),
            pytest.param({TEXTS["homoglyph"]: 1}, id="homoglyph"),
            pytest.param({MARKUP["script"]: 1}, id="markup"),
        ],
    )
    def test_names_of_parameters_do_not_flood_or_mark_up_the_message(self, conf: Conf) -> None:
        message = str(refusal(conf))

        assert len(message) < SHORT
        assert message.isascii()
        assert not set("<>") & set(message)


@pytest.fixture(scope="module")
def ids(world: Sandbox) -> list[str]:
    """Six properties that no guard minds."""
    rows = world.sql(
        f"SELECT copy.snappt_property_id_c FROM {COPY} AS copy"
        " INNER JOIN crm.sfdc_dbx.product_property_w_features AS features ON features.property_id = copy.snappt_property_id_c"
        " WHERE NOT copy.is_deleted AND features.fraud_enabled AND copy.snappt_property_id_c = copy.reverse_etl_id_c"
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
    return [*plan_probes(conf, run_id, DAY), *plan_batches(conf, run_id)]


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

    def test_a_run_id_at_the_limit_of_what_is_allowed_is_bound(self, statements: Callable[[], list[str]]) -> None:
        run_id = "..~--+:DROP_" + "~" * 238

        with pytest.raises(RunConfigError, match="there is no payload of such a run") as refused:
            check_preconditions({"undo_run_id": run_id}, MAX_BATCHES)

        assert len(run_id) == 250
        assert len(str(refused.value)) < SHORT
        assert not any("DROP_" in sql for sql in statements())


RUN_IDS = {
    "up": "../x",
    "far-up": "../../../../x",
    "below": "a/b",
    "from-the-root": "/etc/x",
    "windows": "a\\..\\b",
    "quotes": "x' OR '1'='1",
    "double-quotes": '"x"',
    "line-end": "a\r\nb",
    "nul": "a\0b",
    "not-ascii": "ünï",
    "fullwidth-path": "\uff0e\uff0e\uff0fx",
    "longest": "r" * 250,
    "here": ".",
    "parent": "..",
    "hidden": ".hidden",
    "percent": "%2e%2e%2fx",
    "home": "~",
    "shell": "$(id)",
    "url": "s3://bucket/x",
    "usual": "manual__2025-11-21T00:00:00+00:00",
}


class TestRunIds:
    def test_each_has_a_folder_of_its_own_directly_under_the_output_path(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("FEATURE_SYNC_OUTPUT_PATH", str(tmp_path))

        folders = [run_files(load_settings(), run_id).folder for run_id in RUN_IDS.values()]

        assert all(Path(str(folder)).resolve().parent == tmp_path.resolve() for folder in folders)
        assert all(re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{,200}", folder.name) for folder in folders)
        assert len({folder.name for folder in folders}) == len(RUN_IDS)

    def test_one_that_is_named_after_the_folder_of_another_has_a_folder_of_its_own(self) -> None:
        assert folder_name(folder_name("a/b")) != folder_name("a/b")

    def test_folders_cannot_be_made_to_collide_by_trying(self) -> None:
        [digest] = re.findall(r"-([0-9a-f]+)$", folder_name("a/b"))

        assert len(digest) >= 16
        assert folder_name("~~~:~::~:~~:::~~:~~") != folder_name("~~:~:~:~::~~~~~~~~:")

    @pytest.mark.parametrize("name", ["up", "quotes", "longest"])
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
        incident = f"SELECT *, row_number() OVER (ORDER BY id) AS number FROM {COPY} WHERE CAST(created_date AS DATE) = '{DAY}'"
        sandbox.sql(
            "CREATE TABLE crm.sfdc_dbx.hostile_copy AS SELECT * EXCEPT (reverse_etl_id_c, number),"
            f" element_at({keys}, CAST(number AS INT)) AS reverse_etl_id_c FROM ({incident}) WHERE number <= {len(CELLS)}"
        )
        monkeypatch.setenv("FEATURE_SYNC_SALESFORCE_TABLE", "crm.sfdc_dbx.hostile_copy")
        conf = {"scope": "all", "batch_size": 5}

        freeze_payload(conf, "cells")
        release_payload("cells")
        export_csv("cells", DAY)
        plan_probes(conf, "cells", DAY)
        batches = plan_batches(conf, "cells")
        with Warehouse(load_settings()) as warehouse:
            log = SyncLog(warehouse)
            for batch in batches:
                keys_of = {"run_id": "cells", "batch_number": batch["number"], "resends_attempt": None}
                sent = [row["upsert_key"] for row in warehouse.fetch_all("select_batch_keys", keys_of)]
                records = len(sent)
                attempt = Attempt("cells", batch["number"], 1, AttemptStatus.FAILED, records, records_rejected=records)
                log.record(attempt)
                rejected = [RowRecord(identifier=key, status="rejected", status_message=REASON) for key in sent]
                log.record_rejections(attempt, rejected)
        with pytest.raises(ValidationError):
            validate("cells")

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

    def test_a_line_feed_in_front_of_a_formula_does_not_save_it(self, tmp_path: Path) -> None:
        write_csv(ObjectStoragePath(str(tmp_path / "x.csv")), [pa.table({"key": ["\n=1"]})])

        assert rows_of(tmp_path / "x.csv") == [{"key": "'\n=1"}]
