"""Which settings of a sync are known to be harmless. All others are refused by name."""

import json
from typing import Any

import pytest

from feature_sync.census.models import Sync
from feature_sync.census.sync_checks import batch_sync_problems
from feature_sync.config.fields import load_fields
from sandbox.census.syncs import _backfill_sync

FIELDS = load_fields()
BATCH_TABLE = "crm.sfdc_dbx.feature_sync_batch"


def body() -> dict[str, Any]:
    """What Census shows of a sync that is as it must be."""
    return json.loads(json.dumps(_backfill_sync()))


def problems(sync: dict[str, Any], *harmless: str) -> list[str]:
    return batch_sync_problems(Sync.model_validate(sync), FIELDS, BATCH_TABLE, "Product_Property__c", harmless)


def changed(path: str, value: Any) -> dict[str, Any]:
    sync = body()
    *parts, last = path.split(".")
    part: Any = sync
    for name in parts:
        part = part[int(name) if name.isdecimal() else name]
    part[last] = value
    return sync


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in body().items() if name not in names}


def test_a_sync_as_census_shows_it_has_no_problem() -> None:
    assert problems(body()) == []


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        pytest.param("mappings.2.preserve_values", True, "preserve_values = True: 'Set If Empty'", id="set-if-empty"),
        pytest.param("mappings.0.lookup_object", "Account", "lookup_object = 'Account': the value would", id="lookup"),
        pytest.param("mappings.2.array_field", True, "array_field = True", id="list"),
        pytest.param("mappings.2.operation", "merge", "operation = 'merge': the value would be merged", id="merge"),
        pytest.param("mappings.2.generate_field", True, "generate_field = True: Census would create", id="generated"),
        pytest.param("mappings.2.hashed", "sha256", "hashed = 'sha256'. This package does not know", id="unknown-of-mapping"),
        pytest.param("mappings.2.from.normalize", "trim", "from.normalize = 'trim'. This package", id="unknown-of-source"),
        pytest.param("source_attributes.filter_segment_id", 9, "filter_segment_id = 9: records outside", id="segment"),
        pytest.param("source_attributes.filter", {"a": 1}, "source_attributes.filter = {'a': 1}", id="filter"),
        pytest.param("source_attributes.object.type", "cohort", "object.type = 'cohort': records outside", id="cohort"),
        pytest.param("source_attributes.object.cohort_id", 3, "object.cohort_id = 3", id="cohort-by-id"),
        pytest.param("destination_attributes.lead_union_insert_to", "Lead", "lead_union_insert_to = 'Lead'", id="lead"),
        pytest.param(
            "advanced_configuration.assignment_rule", "x", "advanced_configuration.assignment_rule = 'x'", id="advanced"
        ),
        pytest.param("advanced_configuration", ["x"], "advanced_configuration = ['x']", id="advanced-of-another-form"),
        pytest.param("field_behavior", "sync_all_properties", "fields that nobody mapped would be written", id="all-fields"),
        pytest.param("field_normalization", "snake_case", "field_normalization = 'snake_case'", id="normalization"),
        pytest.param("high_water_mark_attribute", "run_id", "high_water_mark_attribute = 'run_id'", id="high-water-mark"),
        pytest.param("instant_mode", True, "instant_mode = True: Census would start", id="instant"),
        pytest.param("retry_policy_v9", 0, "retry_policy_v9 = 0. This package does not know", id="unknown-with-zero"),
        pytest.param("mode.type", "live", "the mode 'live' starts it too", id="live"),
        pytest.param("mode", "live", "the mode 'live' starts it too", id="mode-of-another-form"),
        pytest.param("mode.triggers.dbt_cloud", {"job": 1}, "the trigger 'dbt_cloud' starts it too", id="dbt"),
        pytest.param("mode.triggers.sync_sequence", {"triggers": [1]}, "the trigger 'sync_sequence' starts", id="sequence"),
        pytest.param("mode.triggers.schedule", {"frequency": "hourly"}, "schedule 'hourly'; it must be", id="schedule-of-mode"),
        pytest.param("schedule_frequency", "continuous", "schedule 'continuous'; it must be manual", id="continuous"),
        pytest.param("destination_attributes", {"connection_id": 47}, "does not say which object it writes", id="no-object"),
    ],
)
def test_what_may_change_what_is_written_or_when_is_refused_by_name(path: str, value: Any, complaint: str) -> None:
    [problem] = problems(changed(path, value))

    assert problem.startswith("Census sync 4711: ")
    assert complaint in problem


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param("created_by", {"name": "Ann"}, id="who-made-it"),
        pytest.param("alert_attributes", [{"id": 1}], id="alerts"),
        pytest.param("some_new_switch", False, id="unknown-and-off"),
        pytest.param("some_new_list", [], id="unknown-and-empty"),
        pytest.param("advanced_configuration.batch_size", 50, id="batch-size"),
        pytest.param("mappings.2.position", 9, id="position"),
        pytest.param("destination_attributes", {"object": {"api_name": "Product_Property__c"}}, id="object-with-parts"),
        pytest.param("destination_attributes", {"object_name": "Product_Property__c"}, id="object-by-another-name"),
    ],
)
def test_what_describes_the_sync_or_is_off_passes(path: str, value: Any) -> None:
    assert problems(changed(path, value)) == []


def test_a_setting_whose_effect_is_unknown_can_be_declared_harmless() -> None:
    sync = changed("mappings.2.hashed", "sha256") | {"Retry_policy": 3}

    assert len(problems(sync)) == 2
    assert problems(sync, "mappings.hashed", "retry_policy") == []


def test_a_setting_whose_effect_is_known_cannot_be_declared_harmless() -> None:
    for path in ("mappings.2.preserve_values", "instant_mode"):
        assert problems(changed(path, True), "mappings.preserve_values", "preserve_values", "instant_mode")


def test_mappings_with_the_same_setting_share_a_sentence() -> None:
    sync = body()
    for mapping in sync["mappings"][2:4]:
        mapping["preserve_values"] = True

    [problem] = problems(sync)

    assert "its mapping of fraud_detection_enabled__c, fraud_detection_start_date__c has the setting" in problem


def test_a_schedule_that_census_does_not_name_is_unknown_until_a_person_has_looked() -> None:
    sync = without("schedule_frequency", "mode")

    [problem] = problems(sync)

    assert "does not say on which schedule it runs" in problem
    assert problems(sync, "schedule_frequency") == []


def test_a_schedule_in_the_mode_alone_is_enough() -> None:
    assert problems(without("schedule_frequency")) == []


def test_a_missing_operation_is_refused_and_a_missing_pause_is_not() -> None:
    assert problems(without("paused", "label", "advanced_configuration")) == []
    assert "its behavior is None" in problems(without("operation"))[0]


def test_a_mapping_of_which_the_type_of_its_source_is_not_said_is_refused() -> None:
    [problem] = problems(changed("mappings.2.from", {"data": "fraud_detection_enabled_c"}))

    assert "is mapped from a source of unknown type" in problem


def test_a_flag_of_another_form_is_not_read_as_true() -> None:
    [problem] = problems(changed("mappings.2.sync_null_values", "false"))

    assert "does not sync null values" in problem
