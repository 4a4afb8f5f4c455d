"""The whole verification on the first day of a workspace, and the proof that it writes nothing anywhere."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from feature_sync.checks.findings import Finding, Verdict
from feature_sync.config.settings import load_settings
from feature_sync.deployment.source_query import wanted_query
from feature_sync.storage.marks import own_tables
from feature_sync.verify.verification import NotReadyForRunsError, Verification, verify
from tests.sandbox.client import BACKFILL, DATASET, Sandbox
from tests.wire.airflow_api import AirflowApi
from tests.wire.backfill.checking import DOWN, MAX_BATCHES, Watch, statements_of
from tests.wire.connections import census_connection

LOGIN = "/services/oauth2/token"
READS = re.compile(r"(SELECT|WITH|DESCRIBE TABLE|DESCRIBE DETAIL|DESCRIBE TABLE EXTENDED|SHOW \w+) ")
REGULAR_SYNC = "Census dataset 815 (Product properties) would write wrong values"


@pytest.fixture(autouse=True)
def watch(sandbox: Sandbox, output: Path) -> Iterator[Watch]:
    """Holds for every test of this file, whatever it is about: no table, no sync, no record and no file is written."""
    watch = Watch(sandbox, sandbox.seq())
    yield watch
    watch.read()
    entries = watch.entries
    assert [sql for sql in statements_of(entries) if not READS.match(sql)] == []
    assert [each for each in entries if each["kind"] == "census.request" and each["method"] != "GET"] == []
    assert [
        each for each in entries if each["kind"] == "salesforce.request" and each["method"] != "GET" and LOGIN not in each["path"]
    ] == []
    assert [each for each in entries if each["kind"] in ("census.run.started", "salesforce.transaction")] == []
    assert list(output.iterdir()) == []


@pytest.fixture
def _corrected(sandbox: Sandbox, watch: Watch) -> Iterator[None]:
    """The dataset of the regular sync has the query of the repository."""
    with watch.by_hand():
        before = sandbox.census("GET", f"datasets/{DATASET}").json()["data"]["query"]
        sandbox.census("PATCH", f"datasets/{DATASET}", json={"query": wanted_query(load_settings())})
    yield
    with watch.by_hand():
        sandbox.census("PATCH", f"datasets/{DATASET}", json={"query": before})


def of(found: Verification, verdict: Verdict) -> list[Finding]:
    return [each for each in found.findings if each.verdict is verdict]


def names(found: Verification, verdict: Verdict) -> list[str]:
    return [each.name for each in of(found, verdict)]


def test_on_the_first_day_the_query_that_caused_the_incident_is_all_that_is_wrong(watch: Watch) -> None:
    found = verify(MAX_BATCHES)

    [regular_sync] = of(found, Verdict.WRONG)
    assert REGULAR_SYNC in regular_sync.text
    assert "or run census_dataset_deploy" in regular_sync.text
    assert names(found, Verdict.NOT_CHECKED) == ["rights in the warehouse", "Salesforce", "alerts"]
    watch.read()
    kinds = {entry["kind"] for entry in watch.entries}
    assert {"warehouse.statement", "census.request", "salesforce.request"} <= kinds, "all three systems were asked"


@pytest.mark.usefixtures("_corrected")
def test_when_that_is_corrected_nothing_is_wrong_although_no_table_of_ours_exists(sandbox: Sandbox) -> None:
    found = verify(MAX_BATCHES)

    found.refuse()
    assert found.headline.startswith("0 findings are wrong, 3 were not checked, ")
    assert "9 tables of ours do not exist yet; the first run creates them." in found.page
    tables = {row[1] for row in sandbox.sql("SHOW TABLES IN crm.sfdc_dbx")}
    assert {table.name.rpartition(".")[2] for table in own_tables(load_settings())} & tables == set()


def test_the_page_says_what_is_wrong_before_the_rest(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_CENSUS_DEFAULT", census_connection(sandbox, {"api_version": "v1"}, password="secret-token:local")
    )

    page = verify(MAX_BATCHES).page

    headings = re.findall(r"^## (.+)$", page, flags=re.MULTILINE)
    assert headings == ["What is wrong, in the order to repair it", "What was not checked, and why", "What is right"]
    assert "1. **regular sync**: " in page
    assert "2. **Census's API**: Connection census_default uses API v1, which " in page


@pytest.mark.usefixtures("_corrected")
class TestWhatIsWrong:
    def test_all_of_it_is_in_one_message_in_the_order_to_repair_it(
        self, sandbox: Sandbox, watch: Watch, airflow_api: AirflowApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        airflow_api.pool = {"name": "census_sync", "exists": False}
        monkeypatch.setenv("FEATURE_SYNC_FEATURES_TABLE", "crm.sfdc_dbx.gone")
        monkeypatch.setenv("FEATURE_SYNC_ALERT_CONN_ID", "gone")
        (tmp_path / "file").write_text("in the way")
        monkeypatch.setenv("FEATURE_SYNC_OUTPUT_PATH", str(tmp_path / "file" / "payloads"))
        with watch.by_hand():
            sandbox.census("PATCH", f"syncs/{BACKFILL}", json={"paused": True})

        found = verify(MAX_BATCHES)
        with watch.by_hand():
            sandbox.census("PATCH", f"syncs/{BACKFILL}", json={"paused": False})

        with pytest.raises(NotReadyForRunsError) as refused:
            found.refuse()
        assert [problem.partition(":")[0] for problem in refused.value.problems] == [
            "pool",
            "rights in the warehouse",
            "tables that are read",
            "Census sync of the batches",
            "output path",
            "alerts",
        ]
        unseen = names(found, Verdict.NOT_CHECKED)
        assert {"age of the tables", "keys", "twins", "duplicates", "statuses", "regular sync"} <= set(unseen)

    @pytest.mark.parametrize(
        ("connection", "named"),
        [
            pytest.param("CENSUS", "Census sync of the batches", id="census"),
            pytest.param("DATABRICKS", "connection to the warehouse", id="warehouse"),
        ],
    )
    def test_a_missing_connection_is_wrong_and_what_needs_it_is_not_checked(
        self, monkeypatch: pytest.MonkeyPatch, connection: str, named: str
    ) -> None:
        monkeypatch.delenv(f"AIRFLOW_CONN_{connection}_DEFAULT")

        found = verify(MAX_BATCHES)

        [wrong] = of(found, Verdict.WRONG)
        assert wrong.name == named
        assert f"Connection {connection.lower()}_default is missing" in wrong.text
        assert {"regular sync", "clocks"} <= set(names(found, Verdict.NOT_CHECKED))
        assert "pool" in names(found, Verdict.RIGHT)

    def test_a_missing_connection_to_salesforce_is_only_not_checked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AIRFLOW_CONN_SALESFORCE_DEFAULT")

        found = verify(MAX_BATCHES)

        found.refuse()
        [unseen] = [each for each in of(found, Verdict.NOT_CHECKED) if each.name == "Salesforce"]
        assert "there is no connection salesforce_default" in unseen.text

    def test_a_system_that_does_not_answer_is_wrong(self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_CENSUS_DEFAULT", census_connection(sandbox, host=DOWN))

        assert names(verify(MAX_BATCHES), Verdict.WRONG) == ["Census sync of the batches"]

    def test_what_salesforce_hides_is_not_checked_and_what_it_shows_counts(self, sandbox: Sandbox) -> None:
        sandbox.settings(api_user_views_setup=False, api_user_hidden_fields=["idv_only_enabled__c"])

        found = verify(MAX_BATCHES)
        sandbox.settings(api_user_views_setup=True, api_user_hidden_fields=[])

        [wrong] = of(found, Verdict.WRONG)
        assert "shows no field idv_only_enabled__c" in wrong.text
        assert any("how many API calls are left" in each.text for each in of(found, Verdict.NOT_CHECKED))

    def test_a_statement_that_fails_is_wrong_and_hides_nothing(self, sandbox: Sandbox) -> None:
        sandbox.fault("warehouse", "fail", contains="records_that_differ", message="[INTERNAL_ERROR] no")

        found = verify(MAX_BATCHES)

        [wrong] = of(found, Verdict.WRONG)
        assert wrong.name == "keys"
        assert wrong.text.startswith("This cannot be looked at: StatementError: The statement verify/count_keys.sql failed")
        assert {"our own tables", "twins", "regular sync"} <= set(names(found, Verdict.RIGHT))


def test_settings_that_cannot_be_used_are_the_one_thing_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_HEALING", "maybe")

    found = verify(MAX_BATCHES)

    assert [(each.name, each.verdict) for each in found.findings] == [
        ("settings", Verdict.WRONG),
        ("everything else", Verdict.NOT_CHECKED),
    ]
