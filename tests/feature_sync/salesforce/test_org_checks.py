"""What must be right in the org before a run."""

from typing import Any

import pytest

from feature_sync.config.fields import FieldKind, load_fields
from feature_sync.salesforce.models import CALLS_PER_BATCH, ApiLimit, FlowState, ObjectDescription
from feature_sync.salesforce.org_checks import OrgFindings, check_fields, check_flow, check_limit, check_locks

FIELDS = load_fields()
TYPES = {FieldKind.TEXT: "string", FieldKind.CHECKBOX: "boolean", FieldKind.DATE: "date", FieldKind.DATETIME: "datetime"}
FLAG, DAY, KEY = "fraud_detection_enabled__c", "fraud_detection_start_date__c", "reverse_etl_id__c"


def described(*, editor: bool = False, without: tuple[str, ...] = (), **changes: dict[str, Any]) -> ObjectDescription:
    """As a user sees it who only reads, or who edits. ``changes``: attributes of fields, by their names."""
    shown = [
        {
            "name": each.salesforce_name.upper().replace("__C", "__c"),
            "type": TYPES[each.kind],
            "updateable": editor,
            "externalId": each == FIELDS.upsert_key,
            "unique": False,
        }
        | changes.get(each.salesforce_name, {})
        for each in FIELDS
        if each.salesforce_name not in without
    ]
    return ObjectDescription.model_validate({"name": "Product_Property__c", "updateable": editor, "fields": shown})


def problems(**changes: Any) -> tuple[str, ...]:
    return check_fields(described(**changes), FIELDS).problems


def test_an_org_as_it_must_be_has_no_problem_whatever_the_case_of_its_names() -> None:
    assert check_fields(described(editor=True), FIELDS) == OrgFindings()


def test_a_user_that_only_reads_cannot_say_what_census_may_edit() -> None:
    found = check_fields(described(), FIELDS)

    assert found.problems == ()
    [sentence] = found.not_checked
    assert sentence.startswith("Not checked: whether Census's user may edit the fields of Product_Property__c.")


@pytest.mark.parametrize(
    ("field", "change", "said"),
    [
        pytest.param(FLAG, {"type": "string"}, "has the type string in Salesforce; it must be a Checkbox", id="text"),
        pytest.param(DAY, {"type": "datetime"}, "Add fraud_detection_start_date_c to DATETIME_FIELDS.", id="date-and-time"),
        pytest.param("snappt_property_id__c", {"type": "double"}, "it must be a Text. If", id="number"),
        pytest.param(FLAG, {"calculated": True}, "out itself, so nobody can write it. If", id="formula"),
        pytest.param(FLAG, {"autoNumber": True}, "out itself, so nobody can write it. If", id="number-of-its-own"),
        pytest.param(KEY, {"externalId": False}, "is no external id in Salesforce", id="key"),
    ],
)
@pytest.mark.parametrize("editor", [False, True])
def test_a_field_that_is_not_as_it_must_be_is_named(field: str, change: dict[str, Any], said: str, editor: bool) -> None:
    [problem] = problems(editor=editor, **{field: change})

    assert field.removesuffix("__c").upper() in problem
    assert said in problem


def test_a_time_that_is_a_day_in_salesforce_leaves_the_setting() -> None:
    fields = load_fields(frozenset({"fraud_detection_start_date_c"}))

    [problem] = check_fields(described(), fields).problems

    assert problem.endswith("it must be a Date/Time. Remove fraud_detection_start_date_c from DATETIME_FIELDS.")


def test_a_field_that_is_not_shown_may_be_hidden_or_missing() -> None:
    [problem] = problems(without=(FLAG,))

    assert f"shows no field {FLAG} of Product_Property__c to the user of connection salesforce_default" in problem
    assert "give this user the right to read it. If Salesforce has no such field, remove fraud_detection from" in problem


def test_no_field_at_all_is_one_problem() -> None:
    [problem] = problems(without=tuple(each.salesforce_name for each in FIELDS))

    assert "shows none of the fields" in problem


def test_one_field_that_an_editor_may_not_edit_is_a_problem_but_not_the_key() -> None:
    [problem] = problems(editor=True, **{FLAG: {"updateable": False}, KEY: {"updateable": False}})

    assert "may edit Product_Property__c, but not FRAUD_DETECTION_ENABLED__c." in problem


@pytest.mark.parametrize(
    ("remaining", "batches", "is_enough"), [(10 * CALLS_PER_BATCH, 10, True), (10 * CALLS_PER_BATCH - 1, 10, False), (0, 0, True)]
)
def test_the_calls_that_are_left_must_be_enough(remaining: int, batches: int, is_enough: bool) -> None:
    found = check_limit(ApiLimit.model_validate({"Max": 15_000, "Remaining": remaining}), batches)

    assert (found.problems == ()) is is_enough
    assert "of 15,000 API calls left" in "".join(found.problems + found.notes)


def test_a_flow_is_on_with_the_number_of_its_version_or_off() -> None:
    on = {"DeveloperName": "Rollup", "ActiveVersionId": "3015Y1", "ActiveVersion": {"attributes": {}, "VersionNumber": 7}}
    off = {"DeveloperName": "Rollup", "ActiveVersionId": None, "ActiveVersion": None}

    assert check_flow(FlowState.model_validate(on), "Rollup").notes == ("The Flow is on: version 7 of Rollup is active.",)
    assert "Rollup has no active version" in check_flow(FlowState.model_validate(off), "Rollup").notes[0]
    assert "no Flow with the developer name Rollup" in check_flow(None, "Rollup").problems[0]


def test_locked_records_are_named_and_no_problem_of_their_own() -> None:
    few = check_locks(["a01", "a02"], "Property__c")
    many = check_locks([f"a{number:02}" for number in range(1, 9)], "Property__c")

    assert few.problems == many.problems == ()
    [said] = few.not_checked
    assert "whether Census may change 2 records of Property__c that wait for an approval: a01, a02. Salesforce locks" in said
    assert "a05 and 3 more." in many.not_checked[0]
    assert check_locks([], "Property__c").notes == ("No record of Property__c waits for an approval.",)
