"""The first step of a run finds everything that is wrong, says it at once, and writes nothing but our own empty tables."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from feature_sync.config.problems import GuardError, NotReadyError, RunConfigError
from feature_sync.config.settings import load_settings
from feature_sync.storage.tables import prepare_tables
from feature_sync.storage.warehouse import Warehouse
from tests.sandbox.client import BACKFILL, Sandbox
from tests.wire.airflow_api import AirflowApi
from tests.wire.backfill.checking import (
    DOWN,
    FEATURES,
    INCIDENT,
    OUR_TABLES,
    REPLICA,
    ByHand,
    Conf,
    Watch,
    check,
    is_tried_again,
    made_tables,
    problems_of,
    statements_of,
    writing_statements,
)

pytestmark = pytest.mark.usefixtures("watch")


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
                f"SELECT count(*) FROM {REPLICA} WHERE NOT is_deleted"
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
        [[deleted]] = sandbox.sql(f"SELECT MIN(snappt_property_id_c) FROM {REPLICA} WHERE is_deleted")

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

    def test_a_wrong_one_is_reported_together_with_other_problems(self, api: AirflowApi) -> None:
        api.pool = {"name": "census_sync", "exists": False}

        problems = problems_of({"batch_size": 0, "colour": "red"})

        assert [problem.partition(" ")[0] for problem in problems] == ["'colour'", "batch_size", "Pool"]

    def test_a_wrong_scope_is_reported_together_with_other_problems(self, api: AirflowApi) -> None:
        api.pool = {"name": "census_sync", "exists": False}

        problems = problems_of({"scope": "property_ids", "property_ids": ["nobody"]})

        assert problems[0].startswith("property_ids has 1 ids that no record in Salesforce has: nobody")
        assert problems[1].startswith("Pool census_sync does not exist")


class TestTogether:
    @pytest.fixture
    def faults(
        self,
        api: AirflowApi,
        change_sync: Callable[..., None],
        change_source: Callable[..., str],
        blocked_output: Path,
    ) -> list[str]:
        """Something is wrong everywhere. Returns how each problem begins, in the order of the message."""
        api.pool = {"name": "census_sync", "exists": True, "slots": 2, "include_deferred": False}
        change_sync(lambda sync: {"paused": True, "mappings": sync["mappings"][:-1]})
        mistyped = change_source(FEATURES, {"vor_enabled": "CAST(vor_enabled AS STRING)"})
        lacking = change_source(REPLICA, {"is_deleted": None})
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
        problems = problems_of(INCIDENT)

        assert [problem[: len(fault)] for problem, fault in zip(problems, faults, strict=True)] == faults

    def test_a_wrong_run_config_hides_nothing_but_what_only_writing_would_show(self, watch: Watch, faults: list[str]) -> None:
        problems = problems_of({"wait_seconds": -1})

        expected = ["wait_seconds is -1; allowed", *(fault for fault in faults if not fault.startswith("OUTPUT_PATH"))]
        assert [problem[: len(fault)] for problem, fault in zip(problems, expected, strict=True)] == expected
        watch.read()
        assert writing_statements(watch.entries) == []

    @pytest.mark.usefixtures("_impatient")
    def test_temporary_problems_are_reported_together_and_are_worth_another_try(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sandbox.fault("fetch_sync", "status", code=503)
        monkeypatch.setenv("FEATURE_SYNC_AIRFLOW_API_URL", DOWN)
        monkeypatch.setenv(
            "AIRFLOW_CONN_DATABRICKS_DEFAULT", os.environ["AIRFLOW_CONN_DATABRICKS_DEFAULT"].replace(str(sandbox.port), "1")
        )

        problems = problems_of(INCIDENT, NotReadyError)

        named = [
            f"{DOWN}/feature-sync/pool does not answer (ConnectError)",
            "GET syncs/4711 with 503",
            "The warehouse cannot be reached (databricks_default): ",
        ]
        assert len(problems) == len(named)
        assert all(name in problem for name, problem in zip(named, problems, strict=True)), problems
        assert is_tried_again(NotReadyError(problems))

    @pytest.mark.usefixtures("_impatient")
    def test_temporary_problems_beside_a_lasting_one_are_not_worth_another_try(
        self, sandbox: Sandbox, api: AirflowApi, own_names: list[str]
    ) -> None:
        sandbox.fault("fetch_sync", "status", code=503)
        api.pool = {"name": "census_sync", "exists": False}

        problems = problems_of(INCIDENT)

        assert [problem.partition(" ")[0] for problem in problems] == ["Pool", "Census"]
        assert not is_tried_again(GuardError(problems))
        assert set(own_names) <= made_tables(sandbox)

    @pytest.mark.usefixtures("_impatient")
    def test_a_wrong_run_config_is_not_tried_again_because_of_a_temporary_problem(self, sandbox: Sandbox) -> None:
        sandbox.fault("fetch_sync", "status", code=503)

        problems = problems_of({"batch_size": 0})

        assert [problem.partition(" ")[0] for problem in problems] == ["batch_size", "Census"]

    def test_no_system_is_asked_the_same_thing_twice(self, watch: Watch) -> None:
        check({"scope": "all"})

        watch.read()
        requests = [entry["path"] for entry in watch.entries if entry["kind"] == "census.request"]
        statements = statements_of(watch.entries)
        # The regular sync and its dataset are asked for once, to say whether they would undo the repair.
        assert requests == [
            f"/api/v2/syncs/{BACKFILL}",
            "/api/v2/syncs?page=1&per_page=100",
            "/api/v2/syncs/4712",
            "/api/v2/datasets/815",
        ]
        assert len(statements) == len(set(statements)) == 3 + 3 + 2 + 2 * len(OUR_TABLES) + 4


class TestPool:
    def test_a_missing_one_is_refused_with_the_command_that_creates_it(self, api: AirflowApi) -> None:
        api.pool = {"name": "census_sync", "exists": False}

        [problem] = problems_of(INCIDENT)

        assert problem == (
            "Pool census_sync does not exist, so no batch would ever start. "
            'Create it: airflow pools set census_sync 1 "One Census run at a time" --include-deferred'
        )

    def test_an_api_server_without_the_plugin_is_reported_with_its_address_and_what_to_do(self, api: AirflowApi) -> None:
        api.pool = None

        [problem] = problems_of(INCIDENT, NotReadyError)

        assert problem == (
            f"Airflow's pools cannot be read: {api.url}/feature-sync/pool answers with 404. The API server must have this"
            " package in its plugins folder. If tasks reach it at another address than the execution API's, set AIRFLOW_API_URL."
        )


class TestOutputPath:
    def test_a_folder_that_takes_no_file_is_reported_with_its_path(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FEATURE_SYNC_OUTPUT_PATH", "/proc/self")  # not even root may write there; elsewhere it does not exist

        [problem] = problems_of(INCIDENT)

        assert problem.startswith("OUTPUT_PATH /proc/self cannot be written to: ")

    def test_a_storage_that_airflow_does_not_know_is_reported_with_its_url(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FEATURE_SYNC_OUTPUT_PATH", "nonsense://bucket/payloads")

        [problem] = problems_of(INCIDENT)

        assert problem.startswith("OUTPUT_PATH nonsense://bucket/payloads cannot be written to: ")

    def test_files_that_are_there_already_stay(self, tmp_path: Path) -> None:
        folder = tmp_path / "output"
        (folder / "former_run").mkdir(parents=True)
        (folder / "former_run" / "preview.json").write_text("{}")

        check(INCIDENT)

        assert [str(path.relative_to(folder)) for path in sorted(folder.rglob("*"))] == ["former_run", "former_run/preview.json"]
        shutil.rmtree(folder)


class TestUndo:
    def test_checking_an_undo_writes_nothing_either(self, sandbox: Sandbox, by_hand: ByHand, own_names: list[str]) -> None:
        with by_hand(), Warehouse(load_settings()) as warehouse:
            prepare_tables(warehouse)
            sandbox.sql(f"INSERT INTO {own_names[0]} (run_id, salesforce_id) SELECT 'former', id FROM {REPLICA} LIMIT 3")

        with pytest.raises(RunConfigError, match="undo_run_id is 'former', but none of its 3 records still holds what it sent"):
            check({"undo_run_id": "former"})

    def test_a_run_that_does_not_exist_is_reported_with_other_problems(self, api: AirflowApi, own_names: list[str]) -> None:  # noqa: ARG002
        api.pool = {"name": "census_sync", "exists": False}

        problems = problems_of({"undo_run_id": "nobody"})

        assert problems[0].startswith(
            "undo_run_id is 'nobody', but there is no payload of such a run. Payloads are kept for 90 days"
        )
        assert problems[1].startswith("Pool census_sync does not exist")
