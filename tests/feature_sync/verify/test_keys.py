"""Keys and twins: counts in, findings out."""

import pytest

from feature_sync.checks.findings import Verdict
from feature_sync.config.settings import load_settings
from feature_sync.verify.keys import counts_of, key_findings, twin_finding

GOOD = {
    "records": 10_000,
    "records_that_differ": 1_252,
    "true_through_sibling": 0,
    "missing_in_warehouse": 0,
    "key_mismatch": 0,
    "ambiguous_features": 0,
    "missing_in_salesforce": 0,
    "unmatched_features": 0,
    "unknown_in_salesforce": 0,
    "unknown_in_warehouse": 0,
}


def test_records_that_differ_are_what_a_backfill_is_for_and_nothing_wrong() -> None:
    findings = key_findings(counts_of(GOOD), load_settings(), "")

    assert {each.verdict for each in findings} == {Verdict.RIGHT}
    assert findings[-1].text.startswith("1,252 records differ from the warehouse, of 10,000 records in Salesforce.")


@pytest.mark.parametrize(
    ("column", "name", "said"),
    [
        ("key_mismatch", "keys", "270 records in Salesforce have two keys that disagree"),
        ("missing_in_warehouse", "keys", "270 records in Salesforce belong to no property"),
        ("ambiguous_features", "keys", "set FEATURES_ORDER_COLUMN"),
        ("missing_in_salesforce", "keys", "270 properties have no record in Salesforce"),
        ("unmatched_features", "keys", "They are such as ' 17' (like '17')"),
        ("unknown_in_warehouse", "keys", "270 flags are empty in the feature table"),
        ("unknown_in_salesforce", "keys", "May the replication read these fields"),
        ("true_through_sibling", "twins", "set TWINS=any_active_sibling"),
    ],
)
def test_each_class_that_no_run_can_send_is_wrong_with_its_cure(column: str, name: str, said: str) -> None:
    findings = key_findings(counts_of(GOOD | {column: 270}), load_settings(), "' 17' (like '17')")

    [wrong] = [each for each in findings if each.verdict is Verdict.WRONG]
    assert wrong.name == name
    assert said in wrong.text
    assert any(each.name == "keys" and each.verdict is Verdict.RIGHT for each in findings) == (name != "keys")


def test_an_empty_replica_is_wrong_and_not_equal_to_everything() -> None:
    [finding] = key_findings(counts_of(dict.fromkeys(GOOD, 0)), load_settings(), "")

    assert finding.verdict is Verdict.WRONG
    assert "can be compared" in finding.text


def test_objects_that_properties_share_are_wrong_until_a_setting_knows_them(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = {"objects": 2_550, "properties": 6_000}

    unknown = twin_finding(shared, load_settings(), "sfdc_id")
    monkeypatch.setenv("FEATURE_SYNC_TWIN_COLUMN", "sfdc_id")
    known = twin_finding(shared, load_settings(), "sfdc_id")

    assert unknown.verdict is Verdict.WRONG
    assert unknown.text.startswith("6,000 properties of rds.pg_rds_public.properties share 2,550 values of sfdc_id")
    assert "TWIN_COLUMN=sfdc_id" in unknown.text
    assert known.verdict is Verdict.RIGHT
    assert known.text.endswith("TWINS is own.")


def test_without_shared_objects_no_setting_is_needed() -> None:
    assert twin_finding({"objects": 0, "properties": None}, load_settings(), "sfdc_id").verdict is Verdict.RIGHT
