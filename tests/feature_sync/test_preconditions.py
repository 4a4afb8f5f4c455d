"""The first step of a run finds everything that is wrong, says it at once, and writes nothing but our own empty tables."""

import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import tenacity

from feature_sync.census import hook as hook_module
from feature_sync.guards import GuardError
from feature_sync.preconditions import NotReadyError, check_preconditions
from feature_sync.run_config import RunConfigError
from feature_sync.schema import prepare_tables
from feature_sync.settings import load_settings
from feature_sync.warehouse import Warehouse
from tests.feature_sync.conftest import AirflowApi
from tests.sandbox.client import BACKFILL, Sandbox

MAX_BATCHES = 1024
INCIDENT = {"scope": "created_between", "created_from": "2025-11-21", "created_to": "2025-11-21"}
PROPERTIES = "rds.pg_rds_public.properties"
FEATURES = "crm.sfdc_dbx.product_property_w_features"
COPY = "crm.salesforce.product_property_c"
SOURCE_SETTINGS = {PROPERTIES: "PROPERTIES_TABLE", FEATURES: "FEATURES_TABLE", COPY: "SALESFORCE_TABLE"}
OUR_TABLES = ("payload_table", "batch_table", "sync_log_table", "rejection_table", "drift_table")
DOWN = "http://127.0.0.1:1"
Conf = dict[str, Any]
ByHand = Callable[[], AbstractContextManager[None]]


@dataclass
class Watch:
    """The journal of one test, without what the test itself did inside ``with by_hand()``."""

    sandbox: Sandbox
    seen: int
    entries: list[dict[str, Any]] = field(default_factory=list)

    def read(self) -> list[dict[str, Any]]:
        """What was journaled since the last look; it stays among the entries."""
        found = self.sandbox.journal(after=self.seen)
        self.seen = max((entry["seq"] for entry in found), default=self.seen)
        self.entries += found
        return found

    @contextmanager
    def by_hand(self) -> Iterator[None]:
        self.read()
        kept = list(self.entries)
        try:
            yield
        finally:
            self.read()
            self.entries = kept


def statements_of(entries: list[dict[str, Any]]) -> list[str]:
    """SQL without comments, each on one line."""
    texts = [entry["sql"] for entry in entries if entry["kind"] == "warehouse.statement"]
    return [" ".join(re.sub(r"--[^\n]*", "", text).split()) for text in texts]


def writing_statements(entries: list[dict[str, Any]]) -> list[str]:
    return [sql for sql in statements_of(entries) if not re.match(r"(SELECT|WITH|DESCRIBE TABLE) ", sql)]


def makes_or_proves_a_table_of_ours(sql: str) -> bool:
    settings = load_settings()
    ours = "|".join(re.escape(getattr(settings, name)) for name in OUR_TABLES)
    columns = r"\( \w+ \w+(, \w+ \w+)* \)"
    return bool(
        re.fullmatch(rf"CREATE TABLE IF NOT EXISTS ({ours}) {columns}", sql)
        or re.fullmatch(rf"ALTER TABLE ({ours}) ADD COLUMNS {columns}", sql)
        or re.fullmatch(rf"DELETE FROM ({ours}) WHERE FALSE", sql)
    )


@pytest.fixture(autouse=True)
def watch(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Watch]:
    """Holds for every test of this file, whatever it is about: no data is written, and Census is only asked."""
    monkeypatch.setenv("FEATURE_SYNC_OUTPUT_PATH", str(tmp_path / "output"))
    watch = Watch(sandbox, sandbox.seq())
    yield watch
    watch.read()
    assert [sql for sql in writing_statements(watch.entries) if not makes_or_proves_a_table_of_ours(sql)] == []
    assert [entry for entry in watch.entries if entry["kind"] == "census.request" and entry["method"] != "GET"] == []
    assert [entry for entry in watch.entries if entry["kind"] in ("census.run.started", "salesforce.transaction")] == []
    output = tmp_path / "output"
    assert not output.exists() or list(output.iterdir()) == [], "the write test left a file behind"


@pytest.fixture
def by_hand(watch: Watch) -> ByHand:
    return watch.by_hand


@pytest.fixture
def api(airflow_api: AirflowApi) -> Iterator[AirflowApi]:
    yield airflow_api
    airflow_api.reset()


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the pauses between tries are shorter."""
    monkeypatch.setattr(hook_module, "_backoff", tenacity.wait_fixed(0.02))
    once = re.sub("(_retry_stop_after_attempts_count%22%3A%20)3", r"\g<1>1", os.environ["AIRFLOW_CONN_DATABRICKS_DEFAULT"])
    assert once != os.environ["AIRFLOW_CONN_DATABRICKS_DEFAULT"]
    monkeypatch.setenv("AIRFLOW_CONN_DATABRICKS_DEFAULT", once)


@pytest.fixture
def change_sync(sandbox: Sandbox, by_hand: ByHand) -> Iterator[Callable[..., None]]:
    """Changes the sync as a person in Census would; restored afterwards."""
    with by_hand():
        original = sandbox.census("GET", f"syncs/{BACKFILL}").json()["data"]

    def change(make: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        with by_hand():
            answer = sandbox.census("PATCH", f"syncs/{BACKFILL}", json=make(json.loads(json.dumps(original))))
        assert answer.ok, answer.text

    yield change
    names = ("operation", "paused", "schedule_frequency", "mappings", "source_attributes", "destination_attributes")
    with by_hand():
        assert sandbox.census("PATCH", f"syncs/{BACKFILL}", json={name: original[name] for name in names}).ok


@pytest.fixture
def change_source(sandbox: Sandbox, by_hand: ByHand, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Makes the settings name a table like ``table``, with other columns, or without those that become nothing."""

    def change(table: str, columns: Mapping[str, str | None]) -> str:
        name = f"crm.sfdc_dbx.other_{uuid.uuid4().hex}"
        added = "".join(f", {value} AS {column}" for column, value in columns.items() if value)
        with by_hand():
            sandbox.sql(f"CREATE TABLE {name} AS SELECT * EXCEPT ({', '.join(columns)}){added} FROM {table} LIMIT 3")
        monkeypatch.setenv(f"FEATURE_SYNC_{SOURCE_SETTINGS[table]}", name)
        return name

    return change


@pytest.fixture
def own_names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Our tables under names that nobody has used yet, but for the batch table, which the sync knows by its name."""
    names = []
    for name in OUR_TABLES:
        if name != "batch_table":
            names.append(f"crm.sfdc_dbx.{name}_{uuid.uuid4().hex}")
            monkeypatch.setenv(f"FEATURE_SYNC_{name.upper()}", names[-1])
    return names


@pytest.fixture
def blocked_output(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Makes the settings name an output folder that would lie below a file."""
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("FEATURE_SYNC_OUTPUT_PATH", str(tmp_path / "file" / "payloads"))
    return tmp_path / "file" / "payloads"


def check(conf: Conf, max_batches: int = MAX_BATCHES) -> dict[str, Any]:
    return check_preconditions(conf, max_batches)


def problems_of(conf: Conf, kind: type[Exception] = GuardError) -> list[str]:
    """One sentence for each thing that is wrong, from the message itself."""
    with pytest.raises((GuardError, NotReadyError, RunConfigError)) as refused:
        check(conf)
    assert refused.type is kind, refused.value
    head, *problems = str(refused.value).split("\n- ")
    assert head.endswith(":")
    return problems


class TestScope:
    @pytest.mark.parametrize(
        ("conf", "records"),
        [
            pytest.param(INCIDENT, 1_296, id="the-incident"),
            pytest.param({}, 1_252, id="mismatched-is-the-default"),
            pytest.param({"scope": "all"}, 10_000, id="all"),
            pytest.param(INCIDENT | {"unmatched": "skip"}, 1_256, id="without-the-unmatched"),
            pytest.param(INCIDENT | {"created_from": "2025-11-20", "created_to": "2025-11-20"}, None, id="the-day-before"),
        ],
    )
    def test_a_run_that_may_go_on_knows_how_many_records_it_has(self, sandbox: Sandbox, conf: Conf, records: int | None) -> None:
        if records is None:
            [[records]] = sandbox.sql(
                f"SELECT count(*) FROM {COPY} WHERE NOT is_deleted"
                " AND created_date >= '2025-11-20T00:00:00Z' AND created_date < '2025-11-21T00:00:00Z'"
            )

        found = check(conf)

        assert found["records"] == records
        assert found["scope"]

    def test_ids_that_salesforce_does_not_have_are_named(self) -> None:
        conf = {"scope": "property_ids", "property_ids": ["999999998", "nonsense"]}

        with pytest.raises(RunConfigError, match=r"2 ids that no record in Salesforce has: 999999998, nonsense\.$"):
            check(conf)

    def test_of_many_unknown_ids_twenty_are_named(self) -> None:
        ids = [f"unknown-{number:02d}" for number in range(23)]

        [problem] = problems_of({"scope": "property_ids", "property_ids": ids}, RunConfigError)

        assert "23 ids" in problem
        assert problem.endswith("unknown-19 and others.")
        assert "unknown-20" not in problem

    def test_a_record_deleted_in_salesforce_is_unknown(self, sandbox: Sandbox) -> None:
        [[deleted]] = sandbox.sql(f"SELECT MIN(snappt_property_id_c) FROM {COPY} WHERE is_deleted")

        with pytest.raises(RunConfigError, match=f"1 ids that no record in Salesforce has: {deleted}"):
            check({"scope": "property_ids", "property_ids": [deleted]})

    def test_a_day_without_records_leaves_nothing_to_send(self) -> None:
        with pytest.raises(RunConfigError, match="No record is in scope: records created in Salesforce from 1999-01-01"):
            check(INCIDENT | {"created_from": "1999-01-01", "created_to": "1999-01-02"})

    def test_more_batches_than_airflow_maps_are_refused(self) -> None:
        assert check(INCIDENT, 26)["records"] == 1_296

        with pytest.raises(RunConfigError, match=r"1,296 records in batches of 50 are 26 batches.* at most 25"):
            check(INCIDENT, 25)


class TestRunConfig:
    def test_a_wrong_one_writes_nothing_at_all(
        self, sandbox: Sandbox, watch: Watch, own_names: list[str], tmp_path: Path
    ) -> None:
        [problem] = problems_of({"batch_size": 0}, RunConfigError)

        watch.read()
        assert problem == "batch_size is 0; allowed is a whole number from 1 to 200."
        assert writing_statements(watch.entries) == []
        assert not (tmp_path / "output").exists()
        assert not set(own_names) & made_tables(sandbox)

    def test_a_right_one_makes_the_output_folder_and_our_tables(
        self, sandbox: Sandbox, own_names: list[str], tmp_path: Path
    ) -> None:
        check(INCIDENT)

        assert (tmp_path / "output").is_dir()
        assert set(own_names) <= made_tables(sandbox)

    def test_a_wrong_one_is_told_together_with_what_else_is_wrong(self, api: AirflowApi) -> None:
        api.pool = {"name": "census_sync", "exists": False}

        problems = problems_of({"batch_size": 0, "colour": "red"})

        assert [problem.partition(" ")[0] for problem in problems] == ["'colour'", "batch_size", "Pool"]

    def test_a_scope_that_is_wrong_is_told_together_with_what_else_is_wrong(self, api: AirflowApi) -> None:
        api.pool = {"name": "census_sync", "exists": False}

        problems = problems_of({"scope": "property_ids", "property_ids": ["nobody"]})

        assert problems[0].startswith("property_ids has 1 ids that no record in Salesforce has: nobody")
        assert problems[1].startswith("Pool census_sync does not exist")


def made_tables(sandbox: Sandbox) -> set[str]:
    rows = sandbox.sql("SELECT table_name FROM information_schema.tables WHERE table_schema = 'sfdc_dbx'")
    return {f"crm.sfdc_dbx.{row[0]}" for row in rows}


class TestTogether:
    @pytest.fixture
    def faults(
        self,
        api: AirflowApi,
        change_sync: Callable[..., None],
        change_source: Callable[..., str],
        blocked_output: Path,
    ) -> list[str]:
        """Something is wrong everywhere; gives how each problem begins, in their order."""
        api.pool = {"name": "census_sync", "exists": True, "slots": 2, "include_deferred": False}
        change_sync(lambda sync: {"paused": True, "mappings": sync["mappings"][:-1]})
        mistyped = change_source(FEATURES, {"vor_enabled": "CAST(vor_enabled AS STRING)"})
        lacking = change_source(COPY, {"is_deleted": None})
        return [
            "Pool census_sync has 2 slots; it must have 1",
            "Pool census_sync does not count deferred tasks",
            f"Census sync {BACKFILL}: it is paused; resume it in Census.",
            f"Census sync {BACKFILL}: it does not map vor_updated_date__c",
            f"OUTPUT_PATH {blocked_output} cannot be written to: NotADirectoryError",
            f"{mistyped}: vor_enabled is string; it must be boolean.",
            f"{lacking} lacks the columns is_deleted.",
        ]

    def test_many_faults_of_every_kind_are_in_one_message(self, faults: list[str]) -> None:
        begun = time.monotonic()

        problems = problems_of(INCIDENT)

        assert time.monotonic() - begun < 5
        assert [problem[: len(fault)] for problem, fault in zip(problems, faults, strict=True)] == faults

    def test_a_wrong_run_config_hides_nothing_but_what_only_writing_would_show(self, watch: Watch, faults: list[str]) -> None:
        problems = problems_of({"wait_seconds": -1})

        expected = ["wait_seconds is -1; allowed", *(fault for fault in faults if not fault.startswith("OUTPUT_PATH"))]
        assert [problem[: len(fault)] for problem, fault in zip(problems, expected, strict=True)] == expected
        watch.read()
        assert writing_statements(watch.entries) == []

    @pytest.mark.usefixtures("_impatient")
    def test_what_may_pass_is_told_together_and_is_worth_another_try(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sandbox.fault("fetch_sync", "status", code=503)
        monkeypatch.setenv("FEATURE_SYNC_AIRFLOW_API_URL", DOWN)
        monkeypatch.setenv(
            "AIRFLOW_CONN_DATABRICKS_DEFAULT", os.environ["AIRFLOW_CONN_DATABRICKS_DEFAULT"].replace(str(sandbox.port), "1")
        )

        problems = problems_of(INCIDENT, NotReadyError)

        named = [
            f"{DOWN}/feature-sync/pool does not answer (ConnectionError)",
            "GET syncs/4711 with 503",
            "The warehouse cannot be reached (databricks_default): ",
        ]
        assert len(problems) == len(named)
        assert all(name in problem for name, problem in zip(named, problems, strict=True)), problems
        assert is_tried_again(NotReadyError(problems))

    @pytest.mark.usefixtures("_impatient")
    def test_what_may_pass_beside_what_does_not_is_not_worth_another_try(
        self, sandbox: Sandbox, api: AirflowApi, own_names: list[str]
    ) -> None:
        sandbox.fault("fetch_sync", "status", code=503)
        api.pool = {"name": "census_sync", "exists": False}

        problems = problems_of(INCIDENT)

        assert [problem.partition(" ")[0] for problem in problems] == ["Pool", "Census"]
        assert not is_tried_again(GuardError(problems))
        assert set(own_names) <= made_tables(sandbox)

    @pytest.mark.usefixtures("_impatient")
    def test_a_wrong_run_config_is_not_tried_again_because_of_what_may_pass(self, sandbox: Sandbox) -> None:
        sandbox.fault("fetch_sync", "status", code=503)

        problems = problems_of({"batch_size": 0})

        assert [problem.partition(" ")[0] for problem in problems] == ["batch_size", "Census"]

    def test_all_of_it_takes_less_than_five_seconds(self) -> None:
        begun = time.monotonic()

        check({"scope": "all"})

        assert time.monotonic() - begun < 5


def is_tried_again(error: Exception) -> bool:
    from airflow.sdk import RetryAction  # noqa: PLC0415 - slow, and few tests need it

    from feature_sync.retry_policy import RETRY_POLICY  # noqa: PLC0415

    rules = [rule for rule in RETRY_POLICY.rules if isinstance(rule.exception, type) and isinstance(error, rule.exception)]
    return rules[0].action is RetryAction.RETRY


class TestPool:
    def test_one_that_is_missing_is_refused_with_the_cure(self, api: AirflowApi) -> None:
        api.pool = {"name": "census_sync", "exists": False}

        [problem] = problems_of(INCIDENT)

        assert problem == (
            "Pool census_sync does not exist, so no batch would ever start. "
            'Create it: airflow pools set census_sync 1 "One Census run at a time" --include-deferred'
        )

    def test_an_api_server_without_the_plugin_is_told_with_its_address_and_the_cure(self, api: AirflowApi) -> None:
        api.pool = None

        [problem] = problems_of(INCIDENT, NotReadyError)

        assert problem == (
            f"Airflow's pools cannot be read: {api.url}/feature-sync/pool answers with 404. The API server must have this"
            " package in its plugins folder; if tasks reach it at another address than the execution API's, set AIRFLOW_API_URL."
        )


class TestCensus:
    def test_a_sync_that_was_changed_is_refused_with_each_difference_that_was_found(
        self, change_sync: Callable[..., None]
    ) -> None:
        def change(sync: dict[str, Any]) -> dict[str, Any]:
            mappings = sync["mappings"][:-1]
            constant = {"type": "constant_value", "data": {"value": False, "basic_type": "boolean"}}
            mappings[2] |= {"from": constant}
            mappings[3] |= {"sync_null_values": False}
            mappings[5] |= {"from": {"type": "column", "data": "idv_only_enabled_c"}}
            return {
                "operation": "upsert",
                "paused": True,
                "schedule_frequency": "hourly",
                "source_attributes": sync["source_attributes"] | {"object": {"type": "dataset", "id": 815}},
                "destination_attributes": sync["destination_attributes"] | {"object": "Account"},
                "mappings": [*mappings, mappings[0] | {"to": "Name", "is_primary_identifier": False}],
            }

        change_sync(change)

        problems = problems_of(INCIDENT)

        expected = [
            "its behavior is 'upsert'; it must be 'update', so that no record is created or deleted.",
            "it writes to Account; it must write to Product_Property__c.",
            "it reads a business_object_source that is no table; it must read the table"
            " crm.sfdc_dbx.product_property_feature_batch.",
            "it is paused; resume it in Census.",
            "it runs on the schedule 'hourly'; it must be manual, because each batch is triggered.",
            "it does not map vor_updated_date__c.",
            "it also maps Name; remove that.",
            "fraud_detection_enabled__c is mapped from a constant_value; it must be mapped from fraud_detection_enabled_c.",
            "fraud_detection_start_date__c does not sync null values, so a wrong date would stay; switch 'sync null values' on.",
            "income_verification_enabled__c is mapped from idv_only_enabled_c; it must be mapped from"
            " income_verification_enabled_c.",
        ]
        assert [problem.casefold() for problem in problems] == [f"Census sync {BACKFILL}: {text}".casefold() for text in expected]

    @pytest.mark.parametrize(
        ("change", "complaint"),
        [
            pytest.param(lambda _: {"operation": "upsert"}, "its behavior is 'upsert'; it must be 'update'", id="operation"),
            pytest.param(
                lambda sync: {"mappings": sync["mappings"][:-1]}, "it does not map vor_updated_date__c", id="mapping-removed"
            ),
        ],
    )
    def test_one_difference_is_enough(
        self, change_sync: Callable[..., None], change: Callable[[dict[str, Any]], dict[str, Any]], complaint: str
    ) -> None:
        change_sync(change)

        [problem] = problems_of(INCIDENT)

        assert problem.startswith(f"Census sync {BACKFILL}: {complaint}")

    def test_the_sync_as_it_stands_after_the_changes_is_good_again(self, change_sync: Callable[..., None]) -> None:
        change_sync(lambda _: {"paused": True})
        assert len(problems_of(INCIDENT)) == 1

        change_sync(lambda _: {"paused": False})

        assert check(INCIDENT)["records"] == 1_296

    def test_a_sync_that_does_not_exist_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FEATURE_SYNC_CENSUS_SYNC_ID", "99")

        [problem] = problems_of(INCIDENT)

        assert problem == "Census sync 99 cannot be read (census_default): Census answered GET syncs/99 with 404"

    def test_a_token_that_has_expired_is_reported_with_the_cause(self, sandbox: Sandbox) -> None:
        sandbox.fault("fetch_sync", "token_expired")

        [problem] = problems_of(INCIDENT)

        assert problem.startswith(f"Census sync {BACKFILL} cannot be read (census_default): ")
        assert "with 401. Check the token of the connection" in problem

    @pytest.mark.usefixtures("_impatient")
    @pytest.mark.parametrize(
        ("fault", "said"),
        [
            pytest.param({"fault": "refuse"}, "Census did not answer GET syncs/4711", id="down"),
            pytest.param({"fault": "status", "code": 503}, "Census answered GET syncs/4711 with 503", id="503"),
            pytest.param({"fault": "not_json"}, "with something else than JSON", id="not-json"),
        ],
    )
    def test_an_outage_is_worth_another_try(self, sandbox: Sandbox, fault: dict[str, Any], said: str) -> None:
        sandbox.fault("fetch_sync", **fault)

        [problem] = problems_of(INCIDENT, NotReadyError)

        assert problem.startswith(f"Census sync {BACKFILL} cannot be read (census_default): ")
        assert said in problem

    def test_a_wrong_token_is_reported_without_the_token(self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        connection = {"conn_type": "http", "host": sandbox.url, "password": "census-pat-wrong-and-secret"}
        monkeypatch.setenv("AIRFLOW_CONN_CENSUS_DEFAULT", json.dumps(connection))

        [problem] = problems_of(INCIDENT)

        assert "401" in problem
        assert "census-pat-wrong-and-secret" not in problem

    def test_a_connection_without_a_token_is_named(self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_CENSUS_DEFAULT", json.dumps({"conn_type": "http", "host": sandbox.url}))

        [problem] = problems_of(INCIDENT)

        assert "Connection census_default has no password; it must hold the Census token." in problem

    @pytest.mark.parametrize(
        "connection",
        [
            pytest.param(None, id="missing"),
            pytest.param({"host": "no host"}, id="no-url"),
            pytest.param(
                {"host": "http://[::1"},
                id="half-an-address",
            ),
            pytest.param({"password": "se\ncret"}, id="token-with-a-line-break"),
        ],
    )
    def test_a_connection_that_is_missing_or_wrong_is_told_with_the_rest(
        self, sandbox: Sandbox, api: AirflowApi, connection: dict[str, str] | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        api.pool = {"name": "census_sync", "exists": False}
        if connection is None:
            monkeypatch.delenv("AIRFLOW_CONN_CENSUS_DEFAULT")
        else:
            wrong = {"conn_type": "http", "host": sandbox.url, "password": "secret"} | connection
            monkeypatch.setenv("AIRFLOW_CONN_CENSUS_DEFAULT", json.dumps(wrong))

        pool, census = problems_of(INCIDENT)

        assert pool.startswith("Pool census_sync does not exist")
        assert "census_default" in census
        assert "cret" not in census


class TestWarehouse:
    @pytest.mark.parametrize(
        ("table", "columns", "complaints"),
        [
            pytest.param(
                PROPERTIES,
                {"id": "CAST(id AS DOUBLE)", "company_id": None},
                [
                    " lacks the columns company_id. Look at the table's name in the settings, or add them.",
                    ": id is double; it must be bigint or decimal or int or smallint or string or tinyint.",
                ],
                id="properties",
            ),
            pytest.param(
                FEATURES,
                {
                    "property_id": "CAST(property_id AS BIGINT)",
                    "fraud_enabled": "CAST(fraud_enabled AS INT)",
                    "idv_enabled": None,
                    "vor_enabled_at": "CAST(vor_enabled_at AS STRING)",
                    "vor_updated_at": None,
                },
                [
                    " lacks the columns idv_enabled, vor_updated_at. Look at the table's name in the settings, or add them.",
                    ": property_id is bigint; it must be string.",
                    ": fraud_enabled is int; it must be boolean.",
                    ": vor_enabled_at is string; it must be date or timestamp or timestamp_ntz.",
                ],
                id="features",
            ),
            pytest.param(
                COPY,
                {
                    "snappt_property_id_c": None,
                    "reverse_etl_id_c": "1",
                    "bank_linking_enabled_c": "CAST(bank_linking_enabled_c AS STRING)",
                    "vor_start_date_c": "CAST(vor_start_date_c AS STRING)",
                    "created_date": "CAST(created_date AS DATE)",
                    "system_modstamp": None,
                    "_fivetran_synced": None,
                },
                [
                    " lacks the columns snappt_property_id_c, system_modstamp, _fivetran_synced."
                    " Look at the table's name in the settings, or add them.",
                    ": reverse_etl_id_c is int; it must be string.",
                    ": bank_linking_enabled_c is string; it must be boolean.",
                    ": vor_start_date_c is string; it must be date.",
                    ": created_date is date; it must be timestamp or timestamp_ntz.",
                ],
                id="copy-of-salesforce",
            ),
        ],
    )
    def test_columns_that_are_missing_or_mistyped_are_named_with_what_was_found(
        self, change_source: Callable[..., str], table: str, columns: dict[str, str | None], complaints: list[str]
    ) -> None:
        name = change_source(table, columns)

        assert problems_of(INCIDENT) == [f"{name}{complaint}" for complaint in complaints]

    def test_a_date_that_is_a_time_in_salesforce_points_to_the_setting(self, change_source: Callable[..., str]) -> None:
        name = change_source(COPY, {"vor_start_date_c": "CAST(vor_start_date_c AS TIMESTAMP)"})

        [problem] = problems_of(INCIDENT)

        assert problem == (
            f"{name}: vor_start_date_c is timestamp; it must be date. If vor_start_date__c is a Date/Time field in Salesforce, "
            "put it into DATETIME_FIELDS."
        )

    def test_a_time_that_is_a_date_in_salesforce_points_to_the_setting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FEATURE_SYNC_DATETIME_FIELDS", '["vor_start_date_c"]')

        source, *_ = problems_of(INCIDENT)

        assert source == (
            f"{COPY}: vor_start_date_c is date; it must be timestamp or timestamp_ntz. If vor_start_date__c is a Date field in "
            "Salesforce, take it out of DATETIME_FIELDS."
        )

    def test_tables_that_are_missing_are_all_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FEATURE_SYNC_FEATURES_TABLE", "crm.sfdc_dbx.not_there")
        monkeypatch.setenv("FEATURE_SYNC_PROPERTIES_TABLE", "crm.nowhere.properties")

        properties, features = problems_of(INCIDENT)

        assert properties.startswith("crm.nowhere.properties cannot be read: ")
        assert features.startswith("crm.sfdc_dbx.not_there cannot be read: ")
        assert "[TABLE_OR_VIEW_NOT_FOUND]" in features

    def test_a_statement_that_fails_is_reported_with_its_name_and_the_warehouses_words(self, sandbox: Sandbox) -> None:
        sandbox.fault("warehouse", "fail", message="[INTERNAL_ERROR] out of luck", contains="current_timezone()")

        [problem] = problems_of(INCIDENT)

        assert problem == "The statement count_scope.sql failed: [INTERNAL_ERROR] out of luck"

    @pytest.mark.usefixtures("_impatient")
    @pytest.mark.parametrize("statement", ["DESCRIBE TABLE", "current_timezone()", "CREATE TABLE"])
    def test_an_outage_on_the_way_is_worth_another_try_too(self, sandbox: Sandbox, statement: str) -> None:
        sandbox.fault("warehouse", "refuse", contains=statement)

        problems = problems_of(INCIDENT, NotReadyError)

        assert all(".sql" in problem for problem in problems)

    def test_a_wrong_token_is_reported_without_the_token(self, monkeypatch: pytest.MonkeyPatch) -> None:
        address = os.environ["AIRFLOW_CONN_DATABRICKS_DEFAULT"]
        monkeypatch.setenv("AIRFLOW_CONN_DATABRICKS_DEFAULT", address.replace("dapi-local", "dapi-wrong-and-secret"))

        with pytest.raises((GuardError, NotReadyError)) as refused:
            check(INCIDENT)

        assert "The warehouse cannot be reached (databricks_default): " in str(refused.value)
        assert "Invalid access token" in str(refused.value)
        assert "dapi-wrong-and-secret" not in str(refused.value)

    def test_a_connection_that_is_missing_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AIRFLOW_CONN_DATABRICKS_DEFAULT")

        with pytest.raises((GuardError, NotReadyError), match="The conn_id `databricks_default` isn't defined"):
            check(INCIDENT)


class TestOurTables:
    def test_on_a_fresh_warehouse_they_are_made_and_proven_to_be_writable_and_stay_empty(
        self, sandbox: Sandbox, watch: Watch, by_hand: ByHand
    ) -> None:
        settings = load_settings()
        names = [getattr(settings, name) for name in OUR_TABLES]
        with by_hand():
            for name in names:
                sandbox.sql(f"DROP TABLE {name}")

        check(INCIDENT)

        watch.read()
        statements = statements_of(watch.entries)
        assert sorted(sql.split()[5] for sql in statements if sql.startswith("CREATE TABLE")) == sorted(names)
        assert sorted(sql for sql in statements if "DELETE" in sql) == sorted(f"DELETE FROM {name} WHERE FALSE" for name in names)
        assert [sandbox.sql(f"SELECT count(*) FROM {name}")[0][0] for name in names] == [0] * len(names)

    def test_one_of_an_older_version_gets_the_columns_it_lacks_and_keeps_its_rows(
        self, sandbox: Sandbox, watch: Watch, by_hand: ByHand, own_names: list[str]
    ) -> None:
        with by_hand():
            sandbox.sql(f"CREATE TABLE {own_names[0]} AS SELECT 'old' AS run_id, TRUE AS fraud_detection_enabled_c")

        check(INCIDENT)

        watch.read()
        added = [sql for sql in statements_of(watch.entries) if sql.startswith("ALTER")]
        columns = [row[0] for row in sandbox.sql(f"DESCRIBE TABLE {own_names[0]}")]
        assert len(added) == 1
        assert {"record_number", "salesforce_id", "vor_updated_date_c", "before_vor_updated_date_c"} <= set(columns)
        assert len(columns) == len(set(columns)) == 8 + 23 + 21
        assert sandbox.sql(f"SELECT run_id, fraud_detection_enabled_c, record_number FROM {own_names[0]}") == [
            ("old", True, None)
        ]

    def test_those_with_other_types_are_all_told_together_with_a_scope_that_is_wrong(
        self, sandbox: Sandbox, by_hand: ByHand, own_names: list[str]
    ) -> None:
        with by_hand():
            for name in own_names:
                sandbox.sql(f"CREATE TABLE {name} AS SELECT 1 AS run_id")

        scope, *tables = problems_of(INCIDENT | {"created_from": "1999-01-01", "created_to": "1999-01-01"})

        assert scope.startswith("No record is in scope: ")
        expected = [f"{name} was made with other types: run_id is int, now it must be string. Rename" for name in own_names]
        assert [problem[: len(start)] for problem, start in zip(tables, expected, strict=True)] == expected

    def test_one_that_may_not_be_written_is_named(self, sandbox: Sandbox) -> None:
        batch_table = load_settings().batch_table
        sandbox.fault(
            "warehouse",
            "fail",
            message="[INSUFFICIENT_PERMISSIONS] Insufficient privileges: MODIFY. SQLSTATE: 42501",
            contains=f"DELETE FROM {batch_table} WHERE FALSE",
        )

        [problem] = problems_of(INCIDENT)

        assert batch_table in problem
        assert "INSUFFICIENT_PERMISSIONS" in problem


class TestOutputPath:
    def test_a_folder_that_is_there_but_takes_no_file_is_told_with_the_path(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FEATURE_SYNC_OUTPUT_PATH", "/proc/self")  # not even root may write there; elsewhere it does not exist

        [problem] = problems_of(INCIDENT)

        assert problem.startswith("OUTPUT_PATH /proc/self cannot be written to: ")

    def test_a_storage_that_airflow_does_not_know_is_told_with_the_url(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FEATURE_SYNC_OUTPUT_PATH", "nonsense://bucket/payloads")

        [problem] = problems_of(INCIDENT)

        assert problem.startswith("OUTPUT_PATH nonsense://bucket/payloads cannot be written to: ")

    def test_what_lies_there_stays(self, tmp_path: Path) -> None:
        folder = tmp_path / "output"
        (folder / "former_run").mkdir(parents=True)
        (folder / "former_run" / "preview.json").write_text("{}")

        check(INCIDENT)

        assert [str(path.relative_to(folder)) for path in sorted(folder.rglob("*"))] == ["former_run", "former_run/preview.json"]
        shutil.rmtree(folder)


class TestUndo:
    def test_asking_for_it_writes_nothing_either(self, sandbox: Sandbox, by_hand: ByHand, own_names: list[str]) -> None:
        with by_hand(), Warehouse(load_settings()) as warehouse:
            prepare_tables(warehouse)
            sandbox.sql(f"INSERT INTO {own_names[0]} (run_id, salesforce_id) SELECT 'former', id FROM {COPY} LIMIT 3")

        with pytest.raises(RunConfigError, match="undo_run_id is 'former', but none of its 3 records holds what it sent"):
            check({"undo_run_id": "former"})

    def test_a_run_that_does_not_exist_is_told_with_what_else_is_wrong(self, api: AirflowApi, own_names: list[str]) -> None:  # noqa: ARG002
        api.pool = {"name": "census_sync", "exists": False}

        problems = problems_of({"undo_run_id": "nobody"})

        assert problems[0].startswith(
            "undo_run_id is 'nobody', but there is no payload of such a run. Payloads are kept for 90 days"
        )
        assert problems[1].startswith("Pool census_sync does not exist")
