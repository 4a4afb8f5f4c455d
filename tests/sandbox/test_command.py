"""The process: starting, ending, being killed, and the connections it prints."""

import ast
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import journal
from sandbox.faults import FAULTS
from tests.sandbox.client import BACKFILL, FAST, PROJECT, Sandbox, command, eventually


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A process that a test may kill. It is started again over the same state."""
    sandbox = Sandbox.start(tmp_path_factory.mktemp("own"), **{**FAST, "replication_seconds": 0.5})
    yield sandbox
    sandbox.kill()


def restart(sandbox: Sandbox) -> None:
    again = Sandbox.start(sandbox.state)
    sandbox.process, sandbox.url = again.process, again.url


@pytest.mark.parametrize(
    "sent_before", [pytest.param(0, id="queued"), pytest.param(1, id="after-the-first"), pytest.param(3, id="half-way")]
)
def test_a_run_that_is_killed_goes_on_after_a_restart(own: Sandbox, sent_before: int) -> None:
    """Six transactions of 20 records in a second; every record is sent exactly once, whenever the kill comes."""
    own.settings(census_queue_seconds=0.2, census_work_seconds=1.0, census_batch_size=20)
    keys = own.stage(120, offset=sent_before * 120)
    before = own.seq()
    run_id = own.trigger()
    eventually(lambda: len(own.journal("salesforce.transaction", before)) >= sent_before)

    own.kill()
    restart(own)

    run = own.ended(run_id)
    assert (run["status"], run["records_updated"], run["records_failed"]) == ("completed", 120, 0)
    entries = [entry for entry in own.journal() if entry.get("sync_run_id") == run_id]
    kinds = [entry["kind"] for entry in entries]
    assert kinds == ["census.run.started", *["salesforce.transaction"] * 6, "census.run.ended"]
    sent = [key for entry in entries[1:-1] for key in entry["keys"]]
    assert sorted(sent) == sorted(keys)
    assert len(own.census("GET", f"sync_runs/{run_id}/records", params={"per_page": 100}).json()["data"]) == 100


def test_everything_is_remembered_over_a_kill(own: Sandbox) -> None:
    own.settings(census_queue_seconds=0.05, census_work_seconds=0.1, census_batch_size=200)
    fault = own.fault("fetch_sync", "status", code=500, skip=1, times=1)
    own.census("GET", f"syncs/{BACKFILL}")
    own.stage(2, offset=900, day="DATE'2031-11-11'")
    own.send()
    journal = own.journal()

    own.kill()
    restart(own)

    assert own.journal()[: len(journal)] == journal
    assert own.control("GET", "settings")["census_work_seconds"] == 0.1
    assert own.census("GET", f"syncs/{BACKFILL}").status_code == 500
    assert own.census("GET", f"syncs/{BACKFILL}").status_code == 200
    assert own.control("DELETE", f"faults/{fault}")["faults"] == []
    assert own.soql("SELECT COUNT() FROM Product_Property__c WHERE vor_start_date__c = 2031-11-11")["totalSize"] == 2
    assert own.send(full=False)["records_processed"] == 0
    eventually(
        lambda: (
            own.sql("SELECT count(*) FROM crm.salesforce.product_property_c WHERE vor_start_date_c = DATE'2031-11-11'")[0][0] == 2
        )
    )


def test_a_reset_gives_the_first_day_back(own: Sandbox) -> None:
    own.stage(2)
    run_id = own.send()["id"]

    own.control("POST", "reset")

    assert own.soql("SELECT COUNT() FROM Product_Property__c WHERE vor_start_date__c > 2030-01-01")["totalSize"] == 0
    assert own.control("GET", "settings")["census_work_seconds"] == 1.5
    assert own.census("GET", f"syncs/{BACKFILL}/sync_runs").json()["data"] == []
    own.settings(**FAST)
    own.stage(1)
    assert own.send()["id"] > run_id


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_properly(own: Sandbox, sign: signal.Signals) -> None:
    own.process.send_signal(sign)
    code = own.wait()

    assert code == 0
    restart(own)


def refused(*arguments: str) -> str:
    """What it says when it does not start: one line."""
    process = command(*arguments)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 2, said
    assert len(said.splitlines()) == 1, said
    return said


def test_what_cannot_work_is_said_in_one_line(own: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert f"cannot listen on 127.0.0.1:{own.port}" in refused("--port", str(own.port), "--state", str(tmp_path / "a"))
    assert "cannot write to the state folder" in refused("--port", "0", "--state", str(tmp_path / "file"))
    assert "another sandbox uses the state folder" in refused("--port", "0", "--state", str(own.state))
    assert "no setting 'speed'" in refused("--port", "0", "--state", str(tmp_path / "b"), "--set", "speed=9")
    assert "'rollup_seconds'" in refused("--port", "0", "--state", str(tmp_path / "b"), "--set", "rollup_seconds=fast")
    assert "NAME=VALUE" in refused("--port", "0", "--state", str(tmp_path / "b"), "--set", "rollup_seconds")
    assert "--state" in refused("--port", "0")


def connection_lines(port: int) -> dict[str, str]:
    process = command("connections", "--port", str(port))
    printed, _ = process.communicate(timeout=20)
    return dict(line.split("=", 1) for line in printed.splitlines())


def test_the_connections_come_out_of_a_shell_as_they_went_in() -> None:
    lines = connection_lines(18123)
    text = "\n".join(f"{name}={value}" for name, value in lines.items())

    printed = subprocess.run(
        ["sh", "-c", f"set -a\n{text}\nexec env"], capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]}
    ).stdout

    assert list(lines) == ["AIRFLOW_CONN_DATABRICKS_DEFAULT", "AIRFLOW_CONN_CENSUS_DEFAULT"]
    assert all(f"{name}={value}" in printed.splitlines() for name, value in lines.items())


@pytest.mark.parametrize("module", ["airflow.sdk", "airflow.models"])
def test_airflow_reads_the_connections(module: str) -> None:
    connection = __import__(module, fromlist=["Connection"]).Connection
    lines = connection_lines(18123)
    parse = connection.from_uri if module == "airflow.sdk" else lambda uri, conn_id: connection(conn_id=conn_id, uri=uri)

    warehouse = parse(lines["AIRFLOW_CONN_DATABRICKS_DEFAULT"], conn_id="databricks_default")
    census = parse(lines["AIRFLOW_CONN_CENSUS_DEFAULT"], conn_id="census_default")

    assert (warehouse.conn_type, warehouse.host, warehouse.password) == ("databricks", "127.0.0.1", "dapi-local")
    assert json.loads(warehouse.extra) == {
        "http_path": "/sql/1.0/warehouses/local",
        "_connection_uri": "http://127.0.0.1:18123/sql/1.0/warehouses/local",
        "enable_telemetry": False,
        "_retry_stop_after_attempts_count": 3,
        "_retry_delay_min": 0.1,
        "_retry_delay_max": 5,
    }
    assert (census.conn_type, census.host, census.port) == ("http", "http://127.0.0.1:18123", None)
    assert census.password == "census-pat-local"
    assert json.loads(census.extra) == {"api_version": "v2"}


def test_help_explains_every_setting() -> None:
    process = command("--help")
    printed, _ = process.communicate(timeout=20)

    assert "rollup_seconds" in printed
    assert "--state" in printed


def test_it_listens_on_this_machine_alone(own: Sandbox) -> None:
    with socket.socket() as other:
        other.settimeout(2)

        code = other.connect_ex(("127.0.0.2", own.port))

    assert code != 0


def test_nothing_of_the_project_imports_the_sandbox() -> None:
    sources = [path for folder in ("dags", "plugins") for path in (PROJECT / folder).rglob("*.py")]

    found = [str(path) for path in sources if "sandbox" in _imports(path)]

    assert sources
    assert found == []


def _imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {name.split(".")[0] for name in names}


def documented(heading: str) -> dict[str, list[str]]:
    """A table of the README: the cells of each row, by the first one, without back ticks."""
    text = (PROJECT / "sandbox" / "README.md").read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| `")]
    return {row[0].strip("`"): row[1:] for row in rows}


def test_the_readme_lists_every_setting_with_its_default(own: Sandbox) -> None:
    described = own.control("GET", "settings/described")

    expected = {name: [f"`{json.dumps(row['default']).strip(chr(34))}`", row["description"]] for name, row in described.items()}
    assert documented("Settings") == expected


def test_the_readme_lists_every_fault_of_every_call() -> None:
    expected = {call: set(faults) for call, faults in FAULTS.items()}

    found = {call: {word.strip("`, ") for word in cells[0].split(",")} for call, cells in documented("Faults").items()}

    assert {call: faults for call, faults in found.items() if call in expected} == expected


def test_the_readme_lists_every_kind_of_journal_entry() -> None:
    kinds = {value for name, value in vars(journal).items() if name.isupper()}

    assert set(documented("Journal")) == kinds
