"""What Airflow makes of the DAG file: the serialized DAG, its vital edges, its form; and what is never imported."""

import ast
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization
from jinja2 import Template

from feature_sync.config.names import CENSUS_POOL
from feature_sync.config.run_config import DEFAULTS, MAX_BATCH_SIZE, MAX_LABEL, MAX_WAIT_SECONDS
from feature_sync.task_defaults.alerts import notify_failure
from feature_sync.task_defaults.explanations import OWNER, TASKS

PROJECT = Path(__file__).resolve().parents[2]
DAG_FOLDER, PLUGINS = PROJECT / "dags", PROJECT / "plugins"
DAG_FILES = sorted(DAG_FOLDER.glob("*.py"))
PRODUCTION = sorted([*DAG_FOLDER.rglob("*.py"), *PLUGINS.rglob("*.py")])
DAG_ID = "product_feature_backfill"
SENDS = ["probe.send", "batch.send"]
DAG_IDS = {
    DAG_ID,
    "product_feature_reconciliation",
    "census_dataset_deploy",
    "feature_sync_accept",
    "feature_sync_verify",
    "feature_sync_watch",
}
"""Whoever adds a DAG adds it here and writes a file like this one for it."""


@pytest.fixture(scope="module")
def dag_bag() -> DagBag:
    return DagBag(str(DAG_FOLDER))


@pytest.fixture(scope="module")
def dag(dag_bag: DagBag) -> Any:
    """The DAG as the scheduler and the API server see it: written to JSON and read again."""
    return DagSerialization.from_dict(DagSerialization.to_dict(dag_bag.dags[DAG_ID]))


@pytest.fixture(scope="module")
def schema(dag_bag: DagBag) -> dict[str, Any]:
    return {name: dag_bag.dags[DAG_ID].params.get_param(name).schema for name in dag_bag.dags[DAG_ID].params}


@cache
def imports_of(path: Path) -> frozenset[str]:
    """The top packages that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." if node.level else (node.module or "").partition(".")[0])
    return frozenset(found)


class TestParsing:
    def test_every_file_is_parsed_and_the_dags_are_the_known_ones(self, dag_bag: DagBag) -> None:
        assert dag_bag.import_errors == {}
        assert set(dag_bag.dags) == DAG_IDS

    def test_a_dag_is_named_like_its_file(self, dag_bag: DagBag) -> None:
        assert {dag_id: Path(dag.fileloc).stem for dag_id, dag in dag_bag.dags.items()} == {name: name for name in DAG_IDS}

    @pytest.mark.parametrize("path", DAG_FILES, ids=lambda path: path.name)
    def test_a_dag_file_is_a_table_of_contents(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        runbook = ast.get_docstring(ast.parse(text), clean=False) or ""

        assert len(text.splitlines()) - len(runbook.splitlines()) < 100

    def test_it_runs_when_a_person_starts_it_and_never_by_itself(self, dag: Any) -> None:
        assert dag.timetable.can_be_scheduled is False
        assert dag.catchup is False

    def test_its_text_is_a_runbook(self, dag: Any) -> None:
        for topic in (
            "When",
            "What it does",
            "Strategies",
            "A batch failed",
            "Preview",
            "A guard refused",
            "Undo",
            "Is a rerun safe",
            "Stopping",
        ):
            assert f"\n#### {topic}" in dag.doc_md
        assert dag.doc_md.index("#### A batch failed") == dag.doc_md.index("####"), "what somebody needs at night comes first"


@pytest.mark.parametrize("dag_id", sorted(DAG_IDS))
class TestExplanations:
    def test_the_list_of_dags_says_what_it_is_and_whose(self, dag_bag: DagBag, dag_id: str) -> None:
        dag = DagSerialization.from_dict(DagSerialization.to_dict(dag_bag.dags[dag_id]))

        assert dag.dag_display_name != dag_id
        assert dag.description
        assert dag.description.endswith(".")
        assert dag.owner == OWNER

    def test_every_task_is_explained_and_no_other(self, dag_bag: DagBag, dag_id: str) -> None:
        dag = DagSerialization.from_dict(DagSerialization.to_dict(dag_bag.dags[dag_id]))

        assert {task_id: dag.get_task(task_id).doc_md for task_id in dag.task_ids} == TASKS[dag_id]

    def test_the_runbook_has_headings_because_bold_words_run_together_in_airflows_window(
        self, dag_bag: DagBag, dag_id: str
    ) -> None:
        paragraphs = str(dag_bag.dags[dag_id].doc_md).split("\n\n")

        assert sum(each.startswith("#### ") for each in paragraphs) >= 3
        assert [each for each in paragraphs if each.startswith("**")] == []


class TestEdges:
    def test_the_tasks_are_these(self, dag: Any) -> None:
        assert set(dag.task_ids) == {
            "check_preconditions",
            "freeze_payload",
            "check_payload",
            "approve_mass_disable",
            "export_csv",
            "plan_probes",
            "confirm_flow_off",
            "probe.wait_for_turn",
            "probe.send",
            "probes_done",
            "check_pilot",
            "approve_pilot",
            "plan_batches",
            "batch.wait_for_turn",
            "batch.send",
            "confirm_flow_on",
            "wait_for_copy",
            "validate",
        }

    @pytest.mark.parametrize(
        ("task_id", "upstream"),
        [
            pytest.param("check_preconditions", set(), id="nothing-before-the-checks"),
            pytest.param("freeze_payload", {"check_preconditions"}, id="nothing-is-written-before-the-checks"),
            pytest.param("check_payload", {"freeze_payload"}, id="the-guards-look-at-what-is-frozen"),
            pytest.param("approve_mass_disable", {"check_payload"}, id="ask-after-the-guards"),
            pytest.param("export_csv", {"approve_mass_disable"}, id="nothing-goes-on-before-the-answer"),
            pytest.param("plan_probes", {"export_csv"}, id="cut-what-is-exported"),
            pytest.param("confirm_flow_off", {"plan_probes"}, id="ask-for-the-flow-when-all-is-ready"),
            pytest.param("probe.wait_for_turn", {"plan_probes", "confirm_flow_off"}, id="no-probe-before-the-answer"),
            pytest.param("probe.send", {"probe.wait_for_turn", "plan_probes"}, id="probe-when-its-turn-has-come"),
            pytest.param("probes_done", {"probe.send"}, id="all-probes"),
            pytest.param("check_pilot", {"probes_done", "probe.send"}, id="a-cleared-pilot-is-waited-for"),
            pytest.param("approve_pilot", {"check_pilot"}, id="ask-about-a-pilot-that-has-arrived"),
            pytest.param("plan_batches", {"approve_pilot", "confirm_flow_off"}, id="plan-by-what-the-probes-say-and-after-a-yes"),
            pytest.param("batch.wait_for_turn", {"plan_batches"}, id="wait-after-the-plan"),
            pytest.param("batch.send", {"batch.wait_for_turn", "plan_batches"}, id="send-when-its-turn-has-come"),
            pytest.param("confirm_flow_on", {"batch.send", "confirm_flow_off"}, id="remind-when-all-is-sent"),
            pytest.param("wait_for_copy", {"batch.send"}, id="the-copy-after-every-batch"),
            pytest.param("validate", {"wait_for_copy", "plan_batches", "batch.send", "probe.send"}, id="validate-at-the-end"),
        ],
    )
    def test_the_tasks_before_a_task(self, dag: Any, task_id: str, upstream: set[str]) -> None:
        assert dag.get_task(task_id).upstream_task_ids == upstream

    def test_the_verdict_and_the_reminder_are_the_only_leaves(self, dag: Any) -> None:
        # A run's state is that of its leaves: anything after or beside the verdict could make a run green that failed.
        leaves = {task_id for task_id in dag.task_ids if not dag.get_task(task_id).downstream_task_ids}

        assert leaves == {"validate", "confirm_flow_on"}
        assert [task_id for task_id in dag.task_ids if not dag.get_task(task_id).upstream_task_ids] == ["check_preconditions"]

    @pytest.mark.parametrize("task_id", ["wait_for_copy", "validate", "confirm_flow_on", "check_pilot"])
    def test_these_tasks_run_after_any_outcome_of_the_batches(self, dag: Any, task_id: str) -> None:
        assert dag.get_task(task_id).trigger_rule == "all_done"

    @pytest.mark.parametrize(
        "task_id", ["export_csv", "plan_batches", "probe.wait_for_turn", "batch.wait_for_turn", "probes_done"]
    )
    def test_a_task_after_a_question_runs_if_it_was_skipped_but_not_if_it_failed(self, dag: Any, task_id: str) -> None:
        assert dag.get_task(task_id).trigger_rule == "none_failed"

    @pytest.mark.parametrize(
        "task_id",
        [
            "freeze_payload",
            "check_payload",
            "approve_mass_disable",
            "plan_probes",
            "confirm_flow_off",
            "approve_pilot",
            "probe.send",
            "batch.send",
        ],
    )
    def test_everything_else_needs_what_goes_before_it(self, dag: Any, task_id: str) -> None:
        assert dag.get_task(task_id).trigger_rule == "all_success"


class TestSending:
    def test_batches_are_mapped_over_the_plan(self, dag: Any) -> None:
        for name in ("probe", "batch"):
            group = dag.task_group.children[name]

            assert type(group).__name__ == "SerializedMappedTaskGroup"
            assert set(group.children) == {f"{name}.wait_for_turn", f"{name}.send"}

    def test_only_sending_takes_the_pool_of_one_slot(self, dag: Any) -> None:
        pools = {task_id: dag.get_task(task_id).pool for task_id in dag.task_ids}

        assert [task_id for task_id, pool in pools.items() if pool == CENSUS_POOL] == SENDS
        assert CENSUS_POOL == "census_sync"

    def test_the_batch_whose_turn_it_is_comes_before_the_sensors_of_later_ones(self, dag: Any) -> None:
        others = max(dag.get_task(task_id).priority_weight for task_id in dag.task_ids if task_id not in SENDS)
        for name in SENDS:
            send = dag.get_task(name)
            assert send.priority_weight > others
            assert type(send.weight_rule).__name__ == "_AbsolutePriorityWeightStrategy"

    @pytest.mark.parametrize("group", ["probe", "batch"])
    def test_one_batch_of_a_run_waits_at_a_time_and_never_before_one_that_is_to_be_sent(self, dag: Any, group: str) -> None:
        turn, send = dag.get_task(f"{group}.wait_for_turn"), dag.get_task(f"{group}.send")

        assert turn.max_active_tis_per_dagrun == 1
        assert type(turn.weight_rule).__name__ == "_AbsolutePriorityWeightStrategy", "not the sum of all that follows it"
        assert turn.priority_weight < send.priority_weight

    def test_a_batch_is_shown_by_its_name(self, dag: Any) -> None:
        for task_id in ("batch.wait_for_turn", "batch.send"):
            template = Template(dag.get_task(task_id).map_index_template)
            task = SimpleNamespace(batch={"label": "batch 007: records 301-350"})
            assert template.render(task=task) == "batch 007: records 301-350"
            assert template.render(task=task, batch_name="too large") == "too large"

    @pytest.mark.parametrize("task_id", ["batch.wait_for_turn", "batch.send"])
    def test_the_wait_is_the_runs_own(self, dag_bag: DagBag, task_id: str) -> None:
        task = dag_bag.dags[DAG_ID].get_task(task_id)

        assert task.wait_seconds == "{{ params.wait_seconds }}"
        assert {"batch", "wait_seconds"} <= set(task.template_fields)

    def test_only_strategy_probe_looks_for_a_size(self, dag_bag: DagBag) -> None:
        tried = {name: dag_bag.dags[DAG_ID].get_task(name) for name in SENDS}

        assert tried["probe.send"].is_probe == "{{ params.strategy == 'probe' }}"
        assert "is_probe" in tried["probe.send"].template_fields
        assert tried["batch.send"].is_probe is False


class TestPilot:
    @pytest.mark.parametrize("task_id", ["wait_for_copy", "validate"])
    def test_a_run_that_ended_with_its_pilot_is_judged_too(self, dag_bag: DagBag, task_id: str) -> None:
        task = dag_bag.dags[DAG_ID].get_task(task_id)
        planner = {
            strategy: Template(task.planned_by).render(params={"strategy": strategy}) for strategy in ("pilot", "batched", "full")
        }

        assert "planned_by" in task.template_fields
        assert planner == {"pilot": "plan_probes", "batched": "plan_batches", "full": "plan_batches"}

    @pytest.mark.parametrize(
        ("dry_run", "plans", "skips"),
        [
            pytest.param(True, {"plan_probes": [], "plan_batches": []}, "True", id="a-dry-run"),
            pytest.param(False, {"plan_probes": [], "plan_batches": []}, "False", id="no-dry-run"),
            pytest.param(True, {"plan_probes": None, "plan_batches": [{}]}, "False", id="planned-before-an-upgrade"),
            pytest.param(True, {"plan_probes": [{}], "plan_batches": None}, "False", id="probes-planned-before-an-upgrade"),
        ],
    )
    def test_a_run_that_has_planned_a_batch_is_looked_at_whatever_an_upgrade_fills_in(
        self, dag_bag: DagBag, dry_run: bool, plans: dict[str, Any], skips: str
    ) -> None:
        ti = SimpleNamespace(xcom_pull=lambda task_ids: plans[task_ids])
        for task_id in ("wait_for_copy", "validate"):
            template = dag_bag.dags[DAG_ID].get_task(task_id).is_dry_run
            assert Template(template).render(params={"dry_run": dry_run}, ti=ti) == skips

    @pytest.mark.parametrize("task_id", ["plan_probes", "plan_batches"])
    def test_a_plan_leaves_one_note_of_what_its_batches_change(
        self, dag_bag: DagBag, monkeypatch: pytest.MonkeyPatch, task_id: str
    ) -> None:
        left: dict[str, Any] = {}
        ti = SimpleNamespace(xcom_push=lambda key, value: left.update({key: value}))
        function = dag_bag.dags[DAG_ID].get_task(task_id).python_callable
        monkeypatch.setattr(f"feature_sync.backfill.plan.{task_id}", lambda *given: given[-1]({"batches": [[1, 5]]}))
        monkeypatch.setattr("feature_sync.orchestration.progress.get_current_context", lambda: {"ti": ti})
        for name in ("asked_params", "describe_run"):
            monkeypatch.setitem(function.__globals__, name, dict)

        function(run_id="run")

        assert left == {"changes": {"batches": [[1, 5]]}}

    def test_the_check_of_the_payload_gets_what_the_freeze_has_counted(
        self, dag_bag: DagBag, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        task = dag_bag.dags[DAG_ID].get_task("check_payload")
        given: list[Any] = []
        monkeypatch.setattr(
            "feature_sync.backfill.payload.check_payload",
            lambda *values: given.extend(values) or SimpleNamespace(as_xcom=dict),
        )
        monkeypatch.setitem(task.python_callable.__globals__, "asked_params", dict)

        task.python_callable({"left_out": {}}, run_id="run")

        assert [each.operator.task_id for each in task.op_args] == ["freeze_payload"]
        assert given[-1] == {"left_out": {}}

    def test_who_approves_that_products_are_turned_off_releases_what_the_strategy_lets(
        self, dag_bag: DagBag, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        released: list[tuple[Any, str]] = []
        on_approval = dag_bag.dags[DAG_ID].get_task("approve_mass_disable").on_approval
        monkeypatch.setattr("feature_sync.backfill.payload.release_checked", lambda *given: released.append(given))
        monkeypatch.setitem(on_approval.__globals__, "asked_params", lambda: {"strategy": "pilot"})

        on_approval("run")

        assert released == [({"strategy": "pilot"}, "run")]

    def test_the_question_takes_a_former_answer_back_and_the_answer_releases_the_rest(self, dag_bag: DagBag) -> None:
        from feature_sync.backfill.payload import release_payload  # noqa: PLC0415 - beside what it is compared with
        from feature_sync.pilot.rest import hold_rest  # noqa: PLC0415

        task = dag_bag.dags[DAG_ID].get_task("approve_pilot")

        assert (task.before_asking, task.on_approval) == (hold_rest, release_payload)


class TestRetries:
    def test_every_task_is_tried_again(self, dag: Any) -> None:
        assert {task_id: dag.get_task(task_id).retries for task_id in dag.task_ids} == dict.fromkeys(dag.task_ids, 3)

    def test_every_task_has_the_policy_that_knows_what_is_worth_another_try(self, dag_bag: DagBag) -> None:
        from feature_sync.task_defaults.retry_policy import RETRY_POLICY  # noqa: PLC0415 - beside what it is compared with

        policies = {task.task_id: task.retry_policy for task in dag_bag.dags[DAG_ID].tasks}

        assert all(policy is RETRY_POLICY or policy == RETRY_POLICY for policy in policies.values()), policies


class TestAlerts:
    def test_every_failure_is_alerted_except_that_of_the_sensor_before_the_verdict(self, dag_bag: DagBag) -> None:
        told = {task.task_id: list(task.on_failure_callback) for task in dag_bag.dags[DAG_ID].tasks}

        assert told.pop("wait_for_copy") == []
        assert {name for name, callbacks in told.items() if callbacks != [notify_failure]} == set()

    def test_a_task_whose_failure_is_not_alerted_is_followed_by_the_verdict(self, dag: Any) -> None:
        assert dag.get_task("wait_for_copy").downstream_task_ids == {"validate"}
        assert dag.get_task("validate").trigger_rule == "all_done"


class TestWatch:
    @pytest.mark.parametrize("task_id", ["plan_probes", "plan_batches"])
    def test_what_is_planned_is_watched(self, dag_bag: DagBag, monkeypatch: pytest.MonkeyPatch, task_id: str) -> None:
        function = dag_bag.dags[DAG_ID].get_task(task_id).python_callable
        monkeypatch.setattr(f"feature_sync.backfill.plan.{task_id}", lambda *_: ["a batch"])
        monkeypatch.setitem(function.__globals__, "asked_params", dict)
        monkeypatch.setitem(function.__globals__, "describe_run", lambda: None)
        monkeypatch.setitem(function.__globals__, "watch_sending", lambda batches: [*batches, "watched"])

        assert function("run") == ["a batch", "watched"]


class TestForm:
    def test_it_has_the_parameters_of_the_run_config_with_their_defaults(self, dag: Any) -> None:
        assert dag.params.dump() == dict(DEFAULTS)

    @pytest.mark.parametrize("name", list(DEFAULTS))
    def test_each_parameter_explains_itself(self, dag_bag: DagBag, schema: dict[str, Any], name: str) -> None:
        param = dag_bag.dags[DAG_ID].params.get_param(name)

        assert schema[name]["title"]
        assert schema[name]["type"]
        assert param.description
        assert param.description.endswith(".")

    def test_the_limits_are_those_of_the_run_config(self, schema: dict[str, Any]) -> None:
        assert (schema["batch_size"]["minimum"], schema["batch_size"]["maximum"]) == (1, MAX_BATCH_SIZE)
        assert (schema["wait_seconds"]["minimum"], schema["wait_seconds"]["maximum"]) == (0, MAX_WAIT_SECONDS)

    def test_what_is_chosen_and_whether_it_is_sent_is_seen_at_once(self, schema: dict[str, Any]) -> None:
        """Airflow shows the parameters without a section, and folds up the others."""
        shown = [name for name in schema if "section" not in schema[name]]

        assert shown == ["scope", "created_from", "created_to", "property_ids", "dry_run"]
        assert list(schema)[: len(shown)] == shown, "nothing folded up comes before them"

    def test_one_click_sends_nothing(self, dag: Any) -> None:
        assert dag.params["dry_run"] is True

    def test_no_choice_is_cut(self, schema: dict[str, Any]) -> None:
        labels = {name: one.get("values_display", {}) for name, one in schema.items()}

        assert [label for shown in labels.values() for label in shown.values() if len(label) > MAX_LABEL] == []
        assert all(label.startswith(f"{choice}: ") for shown in labels.values() for choice, label in shown.items())

    def test_the_ranges_are_said_because_the_form_corrects_a_number_without_a_word(self, dag_bag: DagBag) -> None:
        params = dag_bag.dags[DAG_ID].params
        for name in ("batch_size", "wait_seconds", "max_consecutive_failures"):
            param = params.get_param(name)
            assert f"{param.schema['minimum']} to {param.schema['maximum']}" in param.description
            assert "without a word" in param.description

    def test_it_says_how_long_the_incident_takes_by_the_plans_own_estimate(self, dag_bag: DagBag) -> None:
        from feature_sync.config.wording import duration  # noqa: PLC0415
        from feature_sync.forecast.duration import estimate_seconds  # noqa: PLC0415 - beside what it is compared with

        description = dag_bag.dags[DAG_ID].params.get_param("dry_run").description

        assert f"1,296 records are 26 batches and take about {duration(estimate_seconds(26, 150))}." in description

    @pytest.mark.parametrize("name", ["strategy", "scope", "unmatched"])
    def test_a_choice_offers_what_the_run_config_knows(self, schema: dict[str, Any], name: str) -> None:
        from feature_sync.config.run_config import Scope, Strategy, Unmatched  # noqa: PLC0415

        choices = {"strategy": Strategy, "scope": Scope, "unmatched": Unmatched}[name]
        assert list(schema[name]["enum"]) == [choice.value for choice in choices]
        assert set(schema[name].get("values_display", {})) <= {choice.value for choice in choices}

    @pytest.mark.parametrize(
        "value",
        [
            pytest.param({"batch_size": 0}, id="batch-size-0"),
            pytest.param({"batch_size": 201}, id="batch-size-201"),
            pytest.param({"wait_seconds": 3601}, id="wait-3601"),
            pytest.param({"scope": "everything"}, id="unknown-scope"),
            pytest.param({"created_from": "yesterday"}, id="no-day"),
            pytest.param({"property_ids": "1,2"}, id="ids-as-text"),
        ],
    )
    def test_the_form_refuses_what_the_run_config_would_refuse(self, dag: Any, value: dict[str, Any]) -> None:
        params = dag.params.deep_merge(value)

        with pytest.raises(ValueError, match=next(iter(value))):
            params.validate()


class TestIndependence:
    @pytest.mark.parametrize("path", PRODUCTION, ids=lambda path: str(path.relative_to(PROJECT)))
    def test_production_code_knows_no_sandbox(self, path: Path) -> None:
        assert imports_of(path).isdisjoint({"sandbox", "laptop", "tests", "."})
        assert "sandbox" not in path.read_text(encoding="utf-8").lower()

    def test_the_sql_and_the_settings_know_no_sandbox_either(self) -> None:
        files = [PROJECT / "include" / "settings.toml", *(PROJECT / "include" / "sql").rglob("*.sql")]

        assert len(files) > 10
        assert [path.name for path in files if "sandbox" in path.read_text(encoding="utf-8").lower()] == []

    def test_no_module_has_the_name_of_a_standard_one(self) -> None:
        assert {path.stem for path in PLUGINS.rglob("*.py")}.isdisjoint(sys.stdlib_module_names)
