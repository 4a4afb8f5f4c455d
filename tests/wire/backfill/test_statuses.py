"""Which properties belong in Salesforce, by their status; and a status that nobody knows."""

import json

import pytest

from feature_sync.config.problems import GuardError, RunConfigError
from feature_sync.reconciliation.comparison import DriftError, conclude
from feature_sync.reconciliation.verdict import Finding, Steps
from tests.wire.backfill.checking import check, problems_of
from tests.wire.few import Few

NOTHING = Finding(heals=False, question=None, run_config={}, reason="", mismatched=0)
DONE = Steps(replica="success", comparison="success", approval="skipped", healing="skipped")
KEY = "snappt_property_id_c"


def synced(few: Few) -> list[str]:
    return sorted(row[KEY] for row in few.query("deployment/select_property_sync"))


def set_status(few: Few, property_id: str, status: str) -> None:
    few.sql(f"UPDATE {{properties}} SET status = {status} WHERE id = {property_id}")


@pytest.mark.parametrize("status", ["'DELETED'", "'deleted'", "' Deleted '"])
def test_a_status_is_the_same_in_any_case_and_with_blanks_around_it(few: Few, status: str) -> None:
    one, two, *others = few.ids()
    set_status(few, one, status)
    set_status(few, two, "' active'")
    few.sql(f"DELETE FROM {{replica}} WHERE {KEY} = '{one}'")

    assert synced(few) == [two, *others]
    assert few.compare()[1] == [], "a deleted property needs no record"
    assert check({"scope": "all"})["records"] == 7


class TestUnknownStatus:
    @pytest.mark.parametrize(("status", "named"), [("'paused'", "'PAUSED' (2)"), ("NULL", "empty (2)"), ("'  '", "empty (2)")])
    def test_it_is_named_with_its_number_by_preconditions_and_by_the_weekly_run(self, few: Few, status: str, named: str) -> None:
        one, two, *others = few.ids()
        set_status(few, one, status)
        set_status(few, two, status)

        [problem] = problems_of({"scope": "all"}, GuardError)
        report, rows = few.compare()
        with pytest.raises(DriftError) as red:
            conclude("few", NOTHING, DONE)

        assert problem.startswith(f"{few.properties} has properties with a status that is not known: {named}. Correct it in the")
        assert report["differences"]["unknown_status"] == 2
        assert [(row["class"], row[KEY]) for row in rows] == [("unknown_status", one), ("unknown_status", two)]
        assert {row["in_warehouse_value"] for row in rows} <= {"PAUSED", ""}
        assert f"2 properties have a status that is not known. They are {named}." in str(red.value)
        assert synced(few) == others

    def test_several_are_named_the_most_frequent_first(self, few: Few) -> None:
        one, two, three, *_ = few.ids()
        for property_id, status in ((one, "'zzz'"), (two, "'Zzz'"), (three, "NULL")):
            set_status(few, property_id, status)

        [problem] = problems_of({"scope": "all"}, GuardError)

        assert "'ZZZ' (2), empty (1)." in problem

    @pytest.mark.parametrize(
        ("status", "known", "unsynced"),
        [
            ("'paused'", "paused", None),
            ("'paused'", "", "PAUSED"),
            ("NULL", "", None),
            ("NULL", "paused", ""),
            ("' '", "paused", " "),
        ],
    )
    def test_a_setting_says_what_it_means(
        self, few: Few, monkeypatch: pytest.MonkeyPatch, status: str, known: str, unsynced: str | None
    ) -> None:
        one, *_ = few.ids()
        set_status(few, one, status)
        monkeypatch.setenv("FEATURE_SYNC_KNOWN_STATUSES", json.dumps(["active", "inactive", "onboarding", known]))
        monkeypatch.setenv("FEATURE_SYNC_UNSYNCED_STATUSES", json.dumps([] if unsynced is None else [unsynced]))

        assert check({"scope": "all"})["records"] == 8
        assert (one in synced(few)) is (unsynced is None)

    def test_an_undo_is_not_stopped_by_it(self, few: Few) -> None:
        set_status(few, few.ids()[0], "NULL")

        [problem] = problems_of({"undo_run_id": "nobody"}, RunConfigError)

        assert "there is no payload of such a run" in problem


class TestPlaceholders:
    @pytest.mark.parametrize(
        ("sfdc_id", "belongs"),
        [
            ("'XXXXXXXXXXXXXXX'", False),
            ("' XXXXXXXXXXXXXXX '", False),
            ("'XXXXXXXXXXXXXXXX'", True),
            ("''", True),
            ("NULL", True),
        ],
    )
    def test_a_property_with_one_does_not_belong_in_salesforce(
        self, few: Few, monkeypatch: pytest.MonkeyPatch, sfdc_id: str, belongs: bool
    ) -> None:
        [one, *_] = few.ids()
        few.sql(f"UPDATE {{properties}} SET sfdc_id = {sfdc_id} WHERE id = {one}")
        few.sql(f"DELETE FROM {{replica}} WHERE {KEY} = '{one}'")
        monkeypatch.setenv("FEATURE_SYNC_PLACEHOLDER_SFDC_IDS", "X{15}")

        assert (one in synced(few)) is belongs
        assert few.compare()[0]["differences"]["missing_in_salesforce"] == int(belongs)

    def test_without_the_setting_there_are_none(self, few: Few) -> None:
        few.sql("UPDATE {properties} SET sfdc_id = 'XXXXXXXXXXXXXXX'")

        assert synced(few) == few.ids()
