"""Known differences that people have accepted: by the form, by hand, until a day, and for nothing else than they say."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from feature_sync.backfill.payload import check_payload, freeze_payload
from feature_sync.config.problems import RunConfigError
from feature_sync.config.settings import load_settings
from feature_sync.reconciliation.acceptances import Acceptances, read_acceptances
from feature_sync.reconciliation.accepting import accept
from feature_sync.reconciliation.comparison import DriftError, HealingRefusedError, check_still_allowed, compare, conclude
from feature_sync.reconciliation.drift import Drift, DriftClass
from feature_sync.reconciliation.verdict import Finding
from feature_sync.storage.run_files import read_json, run_files
from feature_sync.storage.warehouse import Warehouse
from tests.sandbox.client import Sandbox
from tests.wire.few import NOT_HEALED, Few, differences, folder

pytestmark = pytest.mark.usefixtures("three_products")
KEY, UPSERT = "snappt_property_id_c", "reverse_etl_id_c"
NOTHING = Finding(heals=False, question=None, run_config={}, reason="", mismatched=0)
TODAY, YESTERDAY, SOON = "current_date()", "current_date() - INTERVAL 1 DAYS", "current_date() + INTERVAL 7 DAYS"
LATER, TOO_LATE = "current_date() + INTERVAL 100 DAYS", "current_date() + INTERVAL 366 DAYS"
LAST_YEAR = "current_timestamp() - INTERVAL 100 DAYS"
WRONG_FLAG, WRONG_DATE = "fraud_detection_enabled_c = FALSE", "fraud_detection_updated_date_c = DATE'2001-02-03'"


@pytest.fixture
def known(few: Few) -> Iterator["Known"]:
    known = Known(few)
    yield known
    known.sql("DELETE FROM {accepted} WHERE TRUE")


class Known:
    """A handful of records, and the table of accepted differences."""

    def __init__(self, few: Few) -> None:
        self.few = few
        self.one, self.two, *_ = few.ids()

    def sql(self, text: str) -> list[Any]:
        return self.few.sql(text.replace("{accepted}", load_settings().accepted_table))

    def harm(self, change: str, property_id: str | None = None) -> None:
        self.sql(f"UPDATE {{replica}} SET {change} WHERE {KEY} = '{property_id or self.one}'")

    def record(self, property_id: str | None = None) -> str:
        [(salesforce_id,)] = self.sql(f"SELECT id FROM {{replica}} WHERE {KEY} = '{property_id or self.one}'")
        return str(salesforce_id)

    def insert(
        self,
        kind: str,
        *,
        record: str | None = "",
        keys: tuple[str | None, str | None] | None = None,
        product: str | None = None,
        reason: str | None = "known since the merger",
        by: str | None = "ada",
        until: str = LATER,
        at: str = "current_timestamp()",
    ) -> None:
        """An entry by hand: the statement that the documentation shows."""
        property_id, upsert_key = keys or (self.one, self.one)
        texts = (kind, self.record() if record == "" else record, property_id, upsert_key, product, reason, by)
        values = ", ".join("CAST(NULL AS STRING)" if text is None else f"'{text}'" for text in texts)
        self.sql(
            f"INSERT INTO {{accepted}} (class, salesforce_id, {KEY}, {UPSERT}, product, reason, accepted_by, accepted_until, "
            f"accepted_at) SELECT {values}, CAST({until} AS DATE), {at}"
        )

    def numbers(self) -> dict[str, tuple[int, int, int]]:
        """Of each class that was found: all, new and accepted ones. The counts and the list must agree."""
        rows, drift = self.few.listed(), self.drift()
        kept = self.few.query("reconciliation/measure_drift", {"compared_by": "listed"})
        assert replace(Drift.from_rows(kept, load_settings().fields), checked_at=drift.checked_at) == drift
        assert drift.properties_mismatched == drift.properties_accepted + drift.properties_held_back + drift.properties_to_send
        for kind in DriftClass:
            # A product has two dates, each of which is a line of the list but only one difference.
            lines = {(row["salesforce_id"], row[KEY], row["product"], row["is_accepted"]) for row in rows if row["class"] == kind}
            assert [drift.accepted(kind), drift.new(kind)] == [sum(line[3] is flag for line in lines) for flag in (True, False)]
        return {
            kind.value: (drift.count(kind), drift.new(kind), drift.accepted(kind)) for kind in DriftClass if drift.count(kind)
        }

    def drift(self) -> Drift:
        return Drift.from_rows(self.few.query("reconciliation/compare_systems"), load_settings().fields)

    def acceptances(self) -> dict[str, Any]:
        self.few.listed()
        with Warehouse(load_settings()) as warehouse:
            return read_acceptances(warehouse, "listed").as_json()

    def is_green(self) -> bool:
        try:
            conclude("few", NOTHING, NOT_HEALED)
        except DriftError:
            return False
        return True


def test_neither_without_an_entry_nor_beside_one_both_systems_are_compared_for_it(known: Known, sandbox: Sandbox) -> None:
    known.few.listed()
    before = sandbox.seq()
    with Warehouse(load_settings()) as warehouse:
        assert read_acceptances(warehouse, "listed").as_json() == Acceptances.from_rows([]).as_json()
        known.insert("wrongly_false", product="fraud_detection")
        assert read_acceptances(warehouse, "listed").as_json() != Acceptances.from_rows([]).as_json()
    texts = [entry["sql"] for entry in sandbox.journal("warehouse.statement", before)]

    judging = [text for text in texts if "judged_acceptances" in text]
    assert [load_settings().salesforce_table in text for text in judging] == [False, False]


class TestEveryClass:
    @pytest.mark.parametrize(
        ("change", "kind", "product"),
        [
            (WRONG_FLAG, "wrongly_false", "fraud_detection"),
            ("fraud_detection_enabled_c = NULL", "unknown_in_salesforce", "fraud_detection"),
            ("idv_only_enabled_c = TRUE", "wrongly_true", "idv_only"),
            (WRONG_DATE, "date_differs", "fraud_detection"),
            ("fraud_detection_start_date_c = DATE'2001-02-03', " + WRONG_DATE, "date_differs", "fraud_detection"),
        ],
    )
    def test_a_field_is_accepted_for_its_record_and_product(self, known: Known, change: str, kind: str, product: str) -> None:
        known.harm(change)
        before = known.numbers()
        known.insert(kind, product=product)

        assert before == {kind: (1, 1, 0)}
        assert known.numbers() == {kind: (1, 0, 1)}

    def test_a_record_without_its_upsert_key_is_accepted_with_that_empty_key(self, known: Known) -> None:
        known.harm(f"{UPSERT} = NULL")
        known.insert("key_mismatch", keys=(known.one, None))

        assert known.numbers() == {"key_mismatch": (1, 0, 1)}

    def test_a_record_without_a_property_id_too(self, known: Known) -> None:
        record = known.record()
        known.harm(f"{KEY} = NULL, {UPSERT} = NULL")
        known.insert("missing_in_warehouse", record=record, keys=(None, None))

        assert known.numbers()["missing_in_warehouse"] == (1, 0, 1)

    def test_an_orphan_and_a_property_without_record_and_one_of_unknown_status(self, known: Known) -> None:
        three = known.few.ids()[2]
        known.sql(f"DELETE FROM {{properties}} WHERE id = {known.one}")
        known.sql(f"DELETE FROM {{features}} WHERE property_id = '{known.one}'")
        known.sql(f"DELETE FROM {{replica}} WHERE {KEY} = '{known.two}'")
        known.sql(f"UPDATE {{properties}} SET status = 'PAUSED' WHERE id = {three}")
        known.insert("missing_in_warehouse")
        known.insert("missing_in_salesforce", record=None, keys=(known.two, None))
        known.insert("unknown_status", record=None, keys=(three, None))

        assert known.numbers() == dict.fromkeys(("missing_in_salesforce", "missing_in_warehouse", "unknown_status"), (1, 0, 1))
        assert known.is_green()

    def test_a_property_with_unequal_feature_rows(self, known: Known) -> None:
        other = f"SELECT * EXCEPT (iv_enabled), NOT iv_enabled AS iv_enabled FROM {{features}} WHERE property_id = '{known.one}'"
        known.sql(f"INSERT INTO {{features}} BY NAME {other}")
        known.insert("ambiguous_features")

        assert known.numbers() == {"ambiguous_features": (1, 0, 1)}


class TestNothingElse:
    def test_another_product_of_the_record_is_new(self, known: Known) -> None:
        known.harm(f"{WRONG_FLAG}, idv_only_enabled_c = TRUE")
        known.insert("wrongly_false", product="fraud_detection")
        known.insert("wrongly_true", product="income_verification")

        assert known.numbers() == {"wrongly_false": (1, 0, 1), "wrongly_true": (1, 1, 0)}
        assert not known.is_green()

    def test_another_class_of_the_product_is_new(self, known: Known) -> None:
        known.harm(f"{WRONG_FLAG}, {WRONG_DATE}")
        known.insert("wrongly_false", product="fraud_detection")

        assert known.numbers() == {"wrongly_false": (1, 0, 1), "date_differs": (1, 1, 0)}

    def test_the_same_difference_of_another_record_is_new_and_the_message_has_both_numbers(self, known: Known) -> None:
        known.harm(WRONG_FLAG)
        known.harm(WRONG_FLAG, known.two)
        known.insert("wrongly_false", product="fraud_detection")

        assert known.numbers() == {"wrongly_false": (2, 1, 1)}
        with pytest.raises(DriftError) as red:
            conclude("few", NOTHING, NOT_HEALED)
        first, second, *_ = str(red.value).splitlines()
        assert first == "2 differences: 1 new, 1 accepted."
        assert second.startswith(
            "1 of 8 properties differ from the warehouse (and 1 accepted): 1 flag is False in Salesforce and should be True "
            "(and 1 accepted)."
        )

    def test_a_record_that_joins_an_accepted_pair_is_new(self, known: Known) -> None:
        three = known.few.ids()[2]
        records = [known.record(), known.record(known.two)]
        known.harm(f"{KEY} = '{known.one}', {UPSERT} = '{known.one}'", known.two)
        for record in records:
            known.insert("key_mismatch", record=record)
        known.insert("missing_in_salesforce", record=None, keys=(known.two, None))
        pair = known.numbers()
        known.harm(f"{KEY} = '{known.one}', {UPSERT} = '{known.one}'", three)

        assert pair["key_mismatch"] == (2, 0, 2)
        assert known.numbers()["key_mismatch"] == (3, 1, 2)
        assert not known.is_green()

    def test_a_record_whose_key_has_changed_is_new(self, known: Known) -> None:
        known.harm(f"{UPSERT} = '1'")
        known.insert("key_mismatch", keys=(known.one, "1"))
        accepted = known.numbers()
        known.harm(f"{UPSERT} = '2'")

        assert accepted == {"key_mismatch": (1, 0, 1)}
        assert known.numbers() == {"key_mismatch": (1, 1, 0)}

    def test_without_a_product_all_products_of_the_class_are_accepted(self, known: Known) -> None:
        known.harm(f"{WRONG_FLAG}, income_verification_enabled_c = NOT income_verification_enabled_c, {WRONG_DATE}")
        before = known.numbers()
        known.insert("wrongly_false")

        after = known.numbers()
        assert before["wrongly_false"][0] >= 1
        assert after["wrongly_false"] == (before["wrongly_false"][0], 0, before["wrongly_false"][0])
        assert after["date_differs"] == before["date_differs"]
        assert known.acceptances()["not_needed"]["count"] == 0, "one of its products differs"


class TestTime:
    def test_it_counts_on_its_last_day_and_has_ended_on_the_next(self, known: Known) -> None:
        known.harm(WRONG_FLAG)
        known.insert("wrongly_false", until=TODAY)
        last_day = known.numbers()
        known.sql(f"UPDATE {{accepted}} SET accepted_until = CAST({YESTERDAY} AS DATE), accepted_at = {LAST_YEAR}")

        assert last_day == {"wrongly_false": (1, 0, 1)}
        with pytest.raises(DriftError, match=r"1 acceptance has ended, .*: wrongly_false property .* \(accepted by ada until "):
            conclude("few", NOTHING, NOT_HEALED)
        [row] = differences("few")
        assert (row["is_accepted"], row["accepted_by"], row["accepted_reason"]) == ("false", "ada", "known since the merger")

    def test_the_newest_entry_counts(self, known: Known) -> None:
        known.harm(WRONG_FLAG)
        known.insert("wrongly_false", at=LAST_YEAR)
        known.insert("wrongly_false", product="fraud_detection", until=YESTERDAY, at="current_timestamp() - INTERVAL 2 DAYS")

        assert known.numbers() == {"wrongly_false": (1, 1, 0)}

    def test_what_ends_soon_and_what_is_no_longer_needed_is_named(self, known: Known) -> None:
        known.harm(WRONG_FLAG)
        known.insert("wrongly_false", until=SOON)
        known.insert("date_differs", product="idv_only")

        named = known.acceptances()

        assert {state: each["count"] for state, each in named.items()} == {
            "refused": 0,
            "ended": 0,
            "ends_soon": 1,
            "not_needed": 1,
        }
        assert named["ends_soon"]["named"][0]["class"] == "wrongly_false"
        assert named["not_needed"]["named"][0]["product"] == "idv_only"


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        pytest.param({"reason": " "}, "it has no reason", id="blank-reason"),
        pytest.param({"reason": None}, "it has no reason", id="no-reason"),
        pytest.param({"by": None}, "it names nobody", id="nobody"),
        pytest.param({"until": "NULL"}, "it has no end date", id="no-end"),
        pytest.param({"until": TOO_LATE}, "more than 365 days (ACCEPTED_DAYS_LIMIT)", id="too-late"),
        pytest.param({"at": "CAST(NULL AS TIMESTAMP)"}, "it does not say when", id="no-beginning"),
        pytest.param({"at": "current_timestamp() + INTERVAL 2 DAYS"}, "in the future", id="future"),
        pytest.param({"kind": "wrongly"}, "its class is not known", id="unknown-class"),
        pytest.param({"kind": None}, "its class is not known", id="no-class"),
        pytest.param({"record": None}, "it names no record", id="no-record"),
        pytest.param({"product": "fraud"}, "its product is not in the field table", id="unknown-product"),
        pytest.param({"kind": "key_mismatch", "product": "idv_only"}, "not about a product", id="product-of-a-record"),
        pytest.param({"kind": "unknown_status"}, "salesforce_id must be NULL", id="record-of-a-property"),
    ],
)
def test_an_entry_that_is_not_complete_does_not_count_and_is_named(known: Known, entry: dict[str, Any], problem: str) -> None:
    known.harm(WRONG_FLAG)
    known.insert(**{"kind": "wrongly_false", **entry})

    assert known.numbers() == {"wrongly_false": (1, 1, 0)}
    [named] = known.acceptances()["refused"]["named"]
    assert problem in named["problem"]


def test_a_run_with_accepted_differences_alone_is_green_and_shows_both_numbers_everywhere(known: Known) -> None:
    known.harm(WRONG_FLAG)
    known.insert("wrongly_false", until=SOON)

    report, [row] = known.few.compare()
    concluded = conclude("few", NOTHING, NOT_HEALED)

    assert concluded == {
        "result": "1 property with mismatched feature data, 1 of them accepted",
        "properties_checked": 8,
        "differences_accepted": 1,
    }
    assert (report["properties_mismatched"], report["properties_new"], report["properties_accepted"]) == (1, 0, 1)
    assert [report[name]["wrongly_false"] for name in ("differences", "differences_new", "differences_accepted")] == [1, 0, 1]
    assert report["acceptances"]["ends_soon"]["count"] == 1
    assert (row["is_accepted"], row["accepted_by"], row["accepted_reason"]) == ("true", "ada", "known since the merger")
    page = (folder("few") / "report.html").read_text()
    assert "1 difference: 0 new, 1 accepted" in page
    assert "1 acceptance ends soon: wrongly_false property" in page
    [fraud] = [each for each in known.few.query("reconciliation/select_drift", {"run_id": "few"}) if each["wrongly_false"]]
    assert (fraud["wrongly_false_accepted"], fraud["properties_mismatched"], fraud["properties_accepted"]) == (1, 1, 1)


class TestHealing:
    def test_an_accepted_record_is_not_healed_and_the_others_are(self, known: Known, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FEATURE_SYNC_HEALING", "auto")
        monkeypatch.setenv("FEATURE_SYNC_HEALING_SHARE_LIMIT", "1")
        known.harm(WRONG_FLAG)
        known.insert("wrongly_false")
        alone = compare("few")
        known.harm(WRONG_FLAG, known.two)

        both = compare("few")

        assert (alone.heals, alone.mismatched, alone.reason) == (
            False,
            0,
            "Every record that differs is accepted; nothing is sent.",
        )
        assert (both.heals, both.mismatched, check_still_allowed(both)) == (True, 1, 1)
        freeze_payload({}, "healing")
        checked = check_payload({}, "healing")
        sent = known.sql(f"SELECT {KEY} FROM {load_settings().payload_table} WHERE run_id = 'healing'")
        assert (checked.records, sent) == (1, [(known.two,)])
        assert read_json(run_files(load_settings(), "healing").preview)["records_accepted"] == 1

    def test_a_new_difference_beside_an_accepted_one_is_red_held_back_and_said(self, known: Known) -> None:
        known.harm(f"{WRONG_FLAG}, idv_only_enabled_c = TRUE")
        known.insert("wrongly_true", product="idv_only")

        drift = known.drift()
        assert (drift.properties_new, drift.properties_held_back) == (1, 1)
        assert known.few.query("backfill/select_records_left_out", SCOPE) == [
            {KEY: known.one, UPSERT: known.one, "reason": "accepted"}
        ]
        with pytest.raises(DriftError, match="1 property has a new difference beside one that is accepted"):
            conclude("few", NOTHING, NOT_HEALED)

    def test_an_acceptance_of_what_does_not_differ_keeps_nothing_from_being_sent(self, known: Known) -> None:
        known.harm(WRONG_FLAG)
        known.insert("wrongly_true")
        known.insert("date_differs")

        assert known.few.query("backfill/count_scope", SCOPE)[0]["records"] == 1
        assert known.drift().properties_held_back == 0

    def test_one_that_has_ended_is_sent_again(self, known: Known) -> None:
        known.harm(WRONG_FLAG)
        known.insert("wrongly_false", until=YESTERDAY, at=LAST_YEAR)

        assert known.few.query("backfill/count_scope", SCOPE)[0]["records"] == 1

    def test_a_person_may_name_the_record(self, known: Known) -> None:
        known.harm(WRONG_FLAG)
        known.insert("wrongly_false")

        named = {**SCOPE, "scope": "property_ids", "property_ids": known.one}
        assert known.few.query("backfill/count_scope", named)[0]["records"] == 1

    def test_an_approval_does_not_cover_more_than_was_to_be_sent(self, known: Known) -> None:
        known.harm(WRONG_FLAG)
        known.insert("wrongly_false")
        known.harm(WRONG_FLAG, known.two)
        known.sql("DELETE FROM {accepted} WHERE TRUE")

        with pytest.raises(HealingRefusedError, match="1 records were approved, but 2 differ now"):
            check_still_allowed(Finding(heals=True, question="1 of 8", run_config={}, reason="", mismatched=1))


SCOPE = {"scope": "mismatched", "created_from": None, "created_to": None, "property_ids": "", "skip_unmatched": False}


class TestTwins:
    def test_a_new_difference_of_a_record_whose_flag_through_a_sibling_is_accepted_stays_red(
        self, known: Known, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FEATURE_SYNC_TWIN_COLUMN", "sfdc_id")
        known.sql(f"UPDATE {{properties}} SET sfdc_id = 'shared', status = 'ACTIVE' WHERE id IN ({known.one}, {known.two})")
        known.sql(f"UPDATE {{features}} SET fraud_enabled = FALSE, fraud_enabled_at = NULL WHERE property_id = '{known.one}'")
        known.insert("true_through_sibling", product="fraud_detection")
        alone, green = known.numbers(), known.is_green()
        known.harm("income_verification_updated_date_c = DATE'2001-02-03'")

        assert (alone, green) == ({"true_through_sibling": (1, 0, 1)}, True)
        assert known.numbers() == {"true_through_sibling": (1, 0, 1), "date_differs": (1, 1, 0)}
        assert not known.is_green()


class TestForm:
    def conf(self, **changes: Any) -> dict[str, Any]:
        [(until,)] = [(row,) for row in [changes.pop("until", None)]]
        return {
            "class": "wrongly_false",
            "reason": "known since the merger",
            "accepted_until": until,
            "products": None,
            **changes,
        }

    @pytest.fixture
    def until(self, known: Known) -> str:
        [(day,)] = known.sql(f"SELECT CAST({LATER} AS DATE)")
        return str(day)

    def test_what_differs_is_accepted_under_the_persons_name_also_when_the_task_runs_twice(
        self, known: Known, until: str
    ) -> None:
        known.harm(f"{WRONG_FLAG}, {WRONG_DATE}")
        conf = self.conf(accepted_until=until, ids=[known.one])

        accept(conf, "accepting", "ada@example.com")
        result = accept(conf, "accepting", "ada@example.com")

        assert result["differences"] == 1
        columns = f"run_id, class, salesforce_id, {KEY}, {UPSERT}, product, reason, accepted_by, CAST(accepted_until AS STRING)"
        assert known.sql(f"SELECT {columns} FROM {{accepted}}") == [
            (
                *("accepting", "wrongly_false", known.record(), known.one, known.one),
                *("fraud_detection", "known since the merger", "ada@example.com", until),
            )
        ]
        assert known.numbers() == {"wrongly_false": (1, 0, 1), "date_differs": (1, 1, 0)}

    def test_a_record_without_keys_is_named_by_its_own_id(self, known: Known, until: str) -> None:
        record = known.record()
        known.harm(f"{KEY} = NULL, {UPSERT} = NULL")

        accept(self.conf(**{"class": "missing_in_warehouse"}, accepted_until=until, ids=[record]), "accepting", "ada")

        assert known.numbers()["missing_in_warehouse"] == (1, 0, 1)

    def test_today_as_the_last_day_ends_an_earlier_acceptance(self, known: Known, until: str) -> None:
        known.harm(WRONG_FLAG)
        accept(self.conf(accepted_until=until, ids=[known.one]), "first", "ada")
        [(today,)] = known.sql(f"SELECT {TODAY}")
        known.sql(f"UPDATE {{accepted}} SET accepted_at = {LAST_YEAR}")

        accept(self.conf(accepted_until=str(today), ids=[known.one]), "second", "grace")

        [row] = known.few.listed()
        assert (row["accepted_by"], row["accepted_until"]) == ("grace", today)

    @pytest.mark.parametrize(
        ("changes", "person", "problem"),
        [
            pytest.param({"ids": ["1"]}, "ada", "No difference of class wrongly_false is found for 1.", id="agrees"),
            pytest.param(
                {"class": "date_differs"}, "ada", "No difference of class date_differs is found for ", id="another-class"
            ),
            pytest.param({"products": ["idv_only"]}, "ada", "No difference of class wrongly_false", id="another-product"),
            pytest.param({}, None, "Airflow does not say who started this run", id="nobody"),
        ],
    )
    def test_what_does_not_differ_or_nobody_accepts_is_refused_as_a_whole(
        self, known: Known, until: str, changes: dict[str, Any], person: str | None, problem: str
    ) -> None:
        known.harm(WRONG_FLAG)
        conf = self.conf(accepted_until=until, **{"ids": [known.one], **changes})
        if "1" in conf["ids"]:
            conf["ids"] = [known.one, "1"]

        with pytest.raises(RunConfigError, match=problem):
            accept(conf, "refused", person)

        assert known.sql("SELECT COUNT(*) FROM {accepted}") == [(0,)]


def test_the_list_names_new_differences_first_so_that_accepted_ones_do_not_fill_it(known: Known) -> None:
    known.harm(WRONG_FLAG)
    known.harm(WRONG_FLAG, known.two)
    known.insert("wrongly_false")

    rows = known.few.listed(1)

    assert [(row[KEY], row["is_accepted"]) for row in rows if row["is_listed"]] == [(known.two, False)]
