"""What the counts of the regular sync's values mean."""

from typing import Any

import pytest

from feature_sync.config.fields import load_fields
from feature_sync.deployment.mapped_columns import MappedColumns, OtherColumn
from feature_sync.deployment.value_findings import Concern, ValueFinding, value_findings

FIELDS = load_fields()
COMPANY = OtherColumn("company_name", "Company_Name__c", "company_name_c", "STRING", sends_null=True)
MAPPED = MappedColumns(
    key="`k`",
    property_id="`k`",
    held_key="k",
    features={each.column: f"`{each.column}`" for each in FIELDS.features},
    others=(COMPANY,),
    has_name=True,
)


def counts(**changes: Any) -> dict[str, Any]:
    """A hundred rows in which all is right."""
    right: dict[str, Any] = {"records": 100}
    for name in ("empty_keys", "repeated_keys", "unknown_properties", "unsynced_properties", "ambiguous_features"):
        right[name] = 0
    right["missing_properties"] = 0
    for product in FIELDS.products:
        right |= {f"{product.name}_{what}": 40 for what in ("enabled", "wanted")}
        right |= {f"{product.name}_{what}": 0 for what in ("wrongly_false", "wrongly_true", "guessed", "empty")}
        right |= {f"{each.column}_differs": 0 for each in product.dates}
    right |= {"other_1_filled": 100, "other_1_is_one_value": False, "other_1_value": "A", "other_1_held": 80}
    right |= {"other_1_overwritten": 0, "other_1_becomes_name": 0, "other_1_loses_name": 0}
    return right | changes


def found(operation: str = "upsert", **changes: Any) -> list[ValueFinding]:
    return value_findings(counts(**changes), MAPPED, FIELDS, operation, 0.05)


def test_where_all_is_right_nothing_is_said() -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("changes", "concern", "words"),
    [
        ({"empty_keys": 2}, Concern.KEYS, "Of 100 rows 2 rows have no key"),
        (
            {"repeated_keys": 2, "repeated_keys_example": "7"},
            Concern.KEYS,
            "2 rows share a key with another row, so Census sends none of them, for example key 7",
        ),
        ({"unknown_properties": 1}, Concern.KEYS, "1 row names a property that the properties table does not have"),
        (
            {"fraud_detection_wrongly_false": 3, "fraud_detection_wrongly_true": 1},
            Concern.FEATURES,
            "Fraud Detection: fraud_detection_enabled__c (column fraud_detection_enabled_c) is wrongly False in 3 and wrongly "
            "True in 1 of 100 rows. Correct the query.",
        ),
        (
            {"fraud_detection_wrongly_false": 40, "fraud_detection_enabled": 0},
            Concern.FEATURES,
            "The column is True in no row, although the feature table has the product for 40 of them. The join with "
            "the feature table is missing, or does not match.",
        ),
        ({"fraud_detection_wrongly_true": 60, "fraud_detection_enabled": 100}, Concern.FEATURES, "is True in every row"),
        ({"idv_only_empty": 5}, Concern.FEATURES, "is NULL in 5 of 100 rows. A checkbox cannot be NULL"),
        ({"vor_start_date_c_differs": 9}, Concern.FEATURES, "differs from the feature table in 9 of 100 rows"),
        (
            {"other_1_overwritten": 80, "other_1_becomes_name": 79},
            Concern.OTHERS,
            "Company_Name__c (column company_name) would be overwritten in 80 of 80 records for which Salesforce has a value "
            "(100%). In 79 of them it becomes the property's own name, which Salesforce does not have there. The name is taken "
            "from the wrong table.",
        ),
        ({"other_1_overwritten": 80, "other_1_loses_name": 80}, Concern.OTHERS, "Salesforce has the property's own name"),
        ({"records": 0}, Concern.KEYS, "It yields no row"),
    ],
)
def test_what_would_be_wrong_in_salesforce_is_said_with_its_numbers(changes: Any, concern: Concern, words: str) -> None:
    [finding] = found(**changes)

    assert (finding.is_wrong, finding.concern) == (True, concern)
    assert words in finding.text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"unsynced_properties": 2}, "2 rows belong to a property that does not belong in Salesforce"),
        ({"ambiguous_features": 1}, "1 row was not compared, because the feature table has unequal rows of the property"),
        ({"missing_properties": 3}, "3 properties have no row"),
        ({"fraud_detection_guessed": 1}, "whose flag is empty in the feature table, so it was not compared"),
        ({"other_1_overwritten": 10}, "would be overwritten in 10 of 80 records for which Salesforce has a value (12%)"),
    ],
)
def test_what_is_worth_knowing_is_no_reason_to_fail(changes: Any, words: str) -> None:
    [finding] = found(**changes)

    assert not finding.is_wrong
    assert words in finding.text


def test_a_column_of_one_value_is_said_where_salesforce_holds_others() -> None:
    texts = [each.text for each in found(other_1_overwritten=80, other_1_filled=0, other_1_is_one_value=True)]

    assert "Company_Name__c (column company_name) is NULL in all 100 rows, and Salesforce holds other values" in texts[-1]


def test_a_few_overwritten_values_are_the_daily_work_of_a_sync() -> None:
    assert found(other_1_overwritten=4, other_1_becomes_name=4) == []


def test_a_sync_that_only_updates_may_leave_properties_out_or_have_nothing_to_send() -> None:
    assert found("update", missing_properties=50) == []
    assert [each.is_wrong for each in found("update", records=0)] == [False]
