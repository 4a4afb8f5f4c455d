"""What the guards make of the counts of a frozen payload, and where exactly each threshold lies."""

from datetime import date
from typing import Any

import pytest

from feature_sync.backfill.payload_guards import (
    Guard,
    Holdings,
    ProductChange,
    Thresholds,
    mass_disable_problems,
    payload_problems,
)
from feature_sync.config.fields import load_fields

FIELDS = load_fields()
COUNTED = (
    Guard.EMPTY_KEYS,
    Guard.REPEATED_KEYS,
    Guard.MISSING_KEYS,
    Guard.EMPTY_FLAGS,
    Guard.UNKNOWN_PROPERTIES,
    Guard.MISSPELLED_FEATURES,
    Guard.FUTURE_DATES,
    Guard.EARLY_DATES,
)
"""Guards that no bad record may pass, in the order of their sentences."""
OF_VALUES = (
    Guard.UNKNOWN_PROPERTIES,
    Guard.MISSPELLED_FEATURES,
    Guard.FEATURE_ROWS,
    Guard.NO_PRODUCT,
    Guard.FUTURE_DATES,
    Guard.EARLY_DATES,
)
"""Guards that say whether the values were read rightly from the warehouse."""
SOUND: dict[str, Any] = {
    "records": 1_296,
    "records_unmatched": 40,
    "records_enabled": 1_226,
    "feature_rows": 9_735,
    "unmatched_features": 0,
    "unmatched_features_example": None,
    **{guard.value: 0 for guard in COUNTED},
    **{f"{guard}_example": None for guard in COUNTED},
}


def bad(*guards: Guard, records: int = 1_250) -> dict[str, Any]:
    return {guard.value: records for guard in guards} | {f"{guard}_example": f"key of {guard}" for guard in guards}


def thresholds(**changes: Any) -> Thresholds:
    defaults: dict[str, Any] = {
        "feature_row_share": 0.9,
        "disable_share": 0.05,
        "product_disable_share": 1.0,
        "product_disable_records": 20,
        "constant_records": 20,
        "unmatched_feature_rows": 75,
        "unmatched_feature_share": 0.01,
        "enabled_records": 1,
        "earliest_date": date(2017, 1, 1),
    }
    return Thresholds(**(defaults | changes))


def problems(facts: dict[str, Any], *, undoes: bool = False, **changes: Any) -> list[str]:
    return payload_problems(SOUND | facts, FIELDS, thresholds(**changes), undoes=undoes)


def names(sentences: list[str]) -> list[str]:
    return [sentence.partition(":")[0] for sentence in sentences]


def change(to_disable: int, product: str = "fraud_detection", label: str = "Fraud Detection") -> ProductChange:
    return ProductChange(product, label, enabled_now=2_000, enabled_after=2_000 - to_disable, to_enable=0, to_disable=to_disable)


@pytest.mark.parametrize("undoes", [False, True])
def test_a_sound_payload_passes(undoes: bool) -> None:
    assert problems({}, undoes=undoes) == []


@pytest.mark.parametrize("undoes", [False, True])
def test_an_empty_payload_is_refused_for_that_alone(undoes: bool) -> None:
    facts = bad(*COUNTED) | {"records": 0, "records_unmatched": 0, "records_enabled": 0}

    assert names(problems(facts, undoes=undoes)) == ["empty_payload"]


@pytest.mark.parametrize("guard", COUNTED)
def test_one_bad_record_is_refused_with_its_key(guard: Guard) -> None:
    [problem] = problems(bad(guard, records=1))

    assert problem.startswith(f"{guard}: 1 record ")
    assert f"such as key of {guard}. " in problem


def test_all_problems_are_reported_at_once() -> None:
    found = problems(bad(*COUNTED) | {"records_unmatched": 1_296, "records_enabled": 0, "unmatched_features": 80})

    asked = (Guard.MASS_DISABLE, Guard.LOST_PRODUCT, Guard.CONSTANT_PRODUCT)
    assert names(found) == [guard.value for guard in Guard if guard not in (Guard.EMPTY_PAYLOAD, *asked)]
    assert all("1,250 records" in problem for problem in found if problem.startswith(tuple(COUNTED)))


def test_an_undo_is_checked_by_the_guards_of_keys_and_flags_only() -> None:
    found = problems(bad(*COUNTED) | {"records_unmatched": 1_296, "records_enabled": 0}, undoes=True)

    assert names(found) == [guard.value for guard in COUNTED if guard not in OF_VALUES]


@pytest.mark.parametrize(
    ("records", "unmatched", "share", "refused"),
    [
        pytest.param(1_000, 100, 0.9, False, id="just-enough"),
        pytest.param(1_000, 101, 0.9, True, id="one-too-few"),
        pytest.param(1_296, 0, 1.0, False, id="all-of-all"),
        pytest.param(1_296, 1, 1.0, True, id="all-but-one-of-all"),
        pytest.param(1_296, 1_296, 0.0, False, id="none-asked-for"),
        pytest.param(1, 1, 0.9, True, id="the-only-one"),
    ],
)
def test_the_share_of_feature_rows_is_a_lower_limit(records: int, unmatched: int, share: float, refused: bool) -> None:
    found = problems({"records": records, "records_unmatched": unmatched}, feature_row_share=share)

    assert names(found) == (["feature_rows"] if refused else [])


def test_too_few_feature_rows_are_reported_with_both_shares() -> None:
    [problem] = problems({"records_unmatched": 324})

    assert "only 75.0% of 1,296 properties have a feature row; GUARD_FEATURE_ROW_SHARE requires 90.0%" in problem
    assert "a join is missing" in problem


@pytest.mark.parametrize(
    ("enabled", "least", "refused"),
    [
        pytest.param(1, 1, False, id="one-is-enough"),
        pytest.param(0, 1, True, id="none"),
        pytest.param(1_000, 1_000, False, id="just-enough"),
        pytest.param(999, 1_000, True, id="one-too-few"),
        pytest.param(0, 0, False, id="switched-off"),
    ],
)
def test_the_number_of_properties_with_a_product_is_a_lower_limit(enabled: int, least: int, refused: bool) -> None:
    found = problems({"records_enabled": enabled}, enabled_records=least)

    assert names(found) == (["no_product"] if refused else [])


def test_too_few_products_are_reported_with_both_numbers() -> None:
    [problem] = problems({"records_enabled": 999}, enabled_records=1_000)

    assert "999 of 1,296 properties have any product; GUARD_ENABLED_RECORDS requires 1,000" in problem


def test_the_earliest_day_is_named() -> None:
    [problem] = problems(bad(Guard.EARLY_DATES, records=3), earliest_date=date(2019, 2, 1))

    assert problem.startswith("early_dates: 3 records have a date before 2019-02-01 (GUARD_EARLIEST_DATE), such as ")


@pytest.mark.parametrize(
    ("to_disable", "records", "share", "refused"),
    [
        pytest.param(50, 1_000, 0.05, False, id="just-allowed"),
        pytest.param(51, 1_000, 0.05, True, id="one-too-many"),
        pytest.param(0, 1_000, 0.0, False, id="none-allowed-and-none"),
        pytest.param(1, 1_000, 0.0, True, id="none-allowed-and-one"),
        pytest.param(1_000, 1_000, 1.0, False, id="all-allowed"),
        pytest.param(1, 10, 0.05, True, id="one-of-few"),
    ],
)
def test_the_share_that_turns_to_false_is_an_upper_limit(to_disable: int, records: int, share: float, refused: bool) -> None:
    found = mass_disable_problems([change(to_disable)], records, thresholds(disable_share=share))

    assert names(found) == (["mass_disable"] if refused else [])


def test_each_product_that_turns_to_false_is_named_with_its_numbers_and_no_other() -> None:
    changes = [change(1_226), change(65, "id_verification", "ID Verification"), change(64, "bank_linking", "Bank Linking")]

    found = mass_disable_problems(changes, 1_296, thresholds())

    assert found == [
        "mass_disable: Fraud Detection would turn from True to False for 1,226 of 1,296 records (94.6%); "
        "GUARD_DISABLE_SHARE allows 5.0%.",
        "mass_disable: ID Verification would turn from True to False for 65 of 1,296 records (5.0%); "
        "GUARD_DISABLE_SHARE allows 5.0%.",
    ]


def test_a_threshold_that_no_binary_fraction_hits_is_reached_all_the_same() -> None:
    assert problems({"records": 100, "records_unmatched": 7}, feature_row_share=0.93) == []
    assert mass_disable_problems([change(29)], 100, thresholds(disable_share=0.29)) == []


@pytest.mark.parametrize(
    ("unmatched", "rows", "refused"),
    [
        pytest.param(75, 9_735, False, id="just-enough"),
        pytest.param(76, 9_735, True, id="one-too-many"),
        pytest.param(80, 1_296, True, id="eighty-of-the-incident"),
        pytest.param(7, 2_234, False, id="the-real-world"),
        pytest.param(1, 100, False, id="just-the-share"),
        pytest.param(1, 99, True, id="more-than-the-share"),
        pytest.param(0, 0, False, id="no-row-at-all"),
    ],
)
def test_properties_of_the_feature_table_that_are_nowhere_have_two_limits(unmatched: int, rows: int, refused: bool) -> None:
    found = problems({"unmatched_features": unmatched, "feature_rows": rows, "unmatched_features_example": "12 "})

    assert names(found) == (["unmatched_features"] if refused else [])
    assert all(f"{unmatched:,} of {rows:,} properties in the feature table" in problem for problem in found)
    assert all("such as '12 '" in problem for problem in found)


def of_product(now: int, after: int, to_enable: int = 0, to_disable: int = 0) -> ProductChange:
    return ProductChange("vor", "VoR", now, after, to_enable, to_disable)


@pytest.mark.parametrize(
    ("to_disable", "enabled", "refused"),
    [
        pytest.param(64, 64, True, id="all-of-a-small-product"),
        pytest.param(21, 105, False, id="just-the-share"),
        pytest.param(21, 104, True, id="more-than-the-share"),
        pytest.param(20, 20, False, id="few-enough-whatever-the-share"),
        pytest.param(0, 0, False, id="nobody-has-it"),
    ],
)
def test_the_share_of_those_that_have_a_product_is_a_limit_too(to_disable: int, enabled: int, refused: bool) -> None:
    changed = of_product(enabled, enabled - to_disable, to_disable=to_disable)

    found = mass_disable_problems([changed], 10_000, thresholds(product_disable_share=0.2))

    assert names(found) == (["mass_disable"] if refused else [])
    assert all(f"for {to_disable} of the {enabled} records that have it" in problem for problem in found)


@pytest.mark.parametrize(
    ("enabled", "in_warehouse", "refused"),
    [
        pytest.param(437, 0, True, id="a-small-product-that-no-feature-row-has"),
        pytest.param(437, 349, True, id="more-than-the-share"),
        pytest.param(435, 348, False, id="just-the-share"),
        pytest.param(20, 0, False, id="few-enough-whatever-the-share"),
        pytest.param(21, 0, True, id="one-more-than-few"),
        pytest.param(0, 437, False, id="nobody-has-it-yet"),
        pytest.param(0, 0, False, id="nobody-has-it-at-all"),
    ],
)
def test_a_product_that_the_feature_table_has_lost_is_refused_even_if_no_record_of_the_payload_has_it(
    enabled: int, in_warehouse: int, refused: bool
) -> None:
    holdings = {"vor": Holdings(enabled, 10_000 - enabled, in_warehouse)}

    found = mass_disable_problems([of_product(0, 0)], 1_296, thresholds(product_disable_share=0.2), holdings)

    assert names(found) == (["lost_product"] if refused else [])
    numbers = f"VoR is True in {enabled} records in Salesforce, but only for {in_warehouse} properties in the feature table"
    assert all(numbers in problem for problem in found)


@pytest.mark.parametrize(
    ("after", "held", "by_difference", "refused"),
    [
        pytest.param(0, (0, 10_000), False, False, id="false-in-all"),
        pytest.param(1_296, (9_000, 1_000), False, True, id="true-in-all-although-others-lack-it"),
        pytest.param(1_295, (9_000, 1_000), False, False, id="false-in-one"),
        pytest.param(1_296, (9_846, 154), False, False, id="too-common-to-expect-a-false-one"),
        pytest.param(1_296, (9_845, 155), False, True, id="just-rare-enough"),
        pytest.param(1_296, (0, 0), False, False, id="nothing-is-known"),
        pytest.param(1_296, (9_000, 1_297), True, False, id="true-in-all-that-differ"),
        pytest.param(1_296, (9_000, 1_296), True, True, id="nobody-would-lack-it-any-more"),
    ],
)
def test_a_product_that_becomes_true_everywhere_is_refused(
    after: int, held: tuple[int, int], by_difference: bool, refused: bool
) -> None:
    found = mass_disable_problems(
        [of_product(0, after, to_enable=after)],
        1_296,
        thresholds(),
        {"vor": Holdings(*held, in_warehouse=10_000)},
        is_chosen_by_difference=by_difference,
    )

    assert names(found) == (["constant_product"] if refused else [])


def test_a_product_that_becomes_true_everywhere_is_named_with_its_numbers() -> None:
    changed = of_product(0, 1_296, to_enable=1_296)

    [problem] = mass_disable_problems([changed], 1_296, thresholds(), {"vor": Holdings(373, 9_627, 10_000)})

    assert problem == (
        "constant_product: VoR would be True in all 1,296 records, but in Salesforce it is False in 9,627 of 10,000 (96.3%). By "
        "that share about 1,248 of the records should be False; GUARD_CONSTANT_RECORDS allows fewer than 20. Look at this "
        "product in the feature table."
    )
