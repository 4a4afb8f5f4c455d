"""What a person reads before the records that follow a pilot are sent."""

from datetime import date
from typing import Any

import pytest

from feature_sync.config.fields import FieldTable, load_fields
from feature_sync.pilot.choice import Stratum, describe_choice
from feature_sync.pilot.question import MAX_NAME, MAX_OF_A_STRATUM, MAX_SENTINELS, Pilot, Seen, pilot_question, plain
from feature_sync.pilot.rest import Rest

FIELDS = load_fields()
FRAUD = FIELDS.products[0]
REST = Rest(records=1_246, batches=25, records_waiting=1_246)
READ = Seen(records=50, read_back=50, shown=0)


def row(stratum: str, number: int, property_id: str | None = None, **values: Any) -> dict[str, Any]:
    """A record of the pilot that has no product, and had none, but for these values."""
    off = {f"{prefix}{each.column}": False for prefix in ("", "before_") for each in (one.enabled for one in FIELDS.products)}
    days = {f"{prefix}{each.column}": None for prefix in ("", "before_") for each in FIELDS.dates}
    keys = {FIELDS.property_id.column: property_id or str(number), FIELDS.upsert_key.column: property_id or str(number)}
    return {"stratum": stratum, "record_number": number, "property_name": None, **off, **days, **keys, **values}


def enabled(since: date | None = None, *, prefix: str = "") -> dict[str, Any]:
    return {f"{prefix}{FRAUD.enabled.column}": True} | ({f"{prefix}{FRAUD.start.column}": since} if FRAUD.start and since else {})


def question(rows: list[dict[str, Any]] | None = None, seen: Seen = READ) -> str:
    pilot = Pilot([Stratum("sentinel records", 2, 2), Stratum("Fraud Detection", 900, 30)], rows or [])
    return pilot_question(pilot, seen, REST, FIELDS)


def lines(text: str, beginning: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(beginning)]


def cells(**values: Any) -> list[str]:
    [line] = lines(question([row("values change", 1, "17", **values)]), "| 17 ")
    return [cell.strip() for cell in line.strip("|").split("|")]


class TestNumbers:
    def test_it_says_what_was_sent_read_and_equal_and_what_each_answer_does(self) -> None:
        text = question()

        assert "- 50 records were sent, and Census says that all of them were accepted." in text
        assert "- Read back from Salesforce: 50; equal: 50; different: 0." in text
        assert "- Records of each kind in it: sentinel records 2 of 2; Fraud Detection 30 of 900." in text
        assert "**Approve**: the other 1,246 records are sent in 25 batches." in text
        assert "**Reject**: nothing more is sent, and the run fails." in text

    def test_without_a_connection_it_says_so_and_what_the_replica_shows(self) -> None:
        text = question(seen=Seen(50, 0, 12, not_read="there is no connection salesforce_default"))

        assert "- **Not read back from Salesforce**: there is no connection salesforce_default. So look at some" in text
        assert "The replica shows 12 of 50 as they were sent. It lags" in text
        assert "equal" not in text

    def test_a_field_that_was_not_compared_is_named(self) -> None:
        assert "may not see these fields: x__c." in question(seen=Seen(50, 50, 0, unreadable=("x__c",)))

    def test_it_says_if_only_counters_speak_for_the_pilot(self) -> None:
        assert "Only its counters say so" in question(seen=Seen(50, 50, 0, by_counters=True))
        assert "Only its counters" not in question()

    def test_it_is_the_same_text_for_the_same_pilot_whatever_the_replica_shows(self) -> None:
        assert question(seen=Seen(50, 50, 3)) == question(seen=Seen(50, 50, 50))


class TestTable:
    @pytest.mark.parametrize(
        ("values", "shown"),
        [
            pytest.param({}, "off", id="stays-off"),
            pytest.param(enabled(), "off → on", id="turned-on"),
            pytest.param(enabled(date(2025, 11, 1)), "off → on since 2025-11-01", id="turned-on-with-a-day"),
            pytest.param(enabled(prefix="before_"), "on → off", id="turned-off"),
            pytest.param(enabled() | enabled(prefix="before_"), "on", id="stays-on"),
            pytest.param(
                enabled(date(2025, 11, 1)) | enabled(date(2025, 10, 1), prefix="before_"),
                "on since 2025-10-01 → on since 2025-11-01",
                id="another-start",
            ),
            pytest.param({f"before_{FRAUD.enabled.column}": None}, "not known → off", id="was-empty"),
            pytest.param({FRAUD.fields[-1].column: date(2025, 11, 2)}, "off, another day", id="another-change"),
        ],
    )
    def test_a_product_of_a_record_before_and_after(self, values: dict[str, Any], shown: str) -> None:
        assert cells(**values)[2] == shown

    def test_a_record_of_several_kinds_is_one_line_that_names_them(self) -> None:
        rows = [row("sentinel records", 1, "17"), row(FRAUD.name, 1, "17"), row("values stay", 1, "17")]

        [line] = lines(question([{**each, "property_name": "Elm Court"} for each in rows]), "| Elm Court (17) ")

        assert "| sentinel records, values stay |" in line

    def test_it_shows_the_sentinels_and_some_records_of_each_other_kind(self) -> None:
        rows = [row("sentinel records", number, f"s{number}") for number in range(1, 20)]
        rows += [row(kind, 100 + number, f"{kind[-1]}{number}") for kind in ("no product", "values stay") for number in range(9)]
        rows = [each | {"record_number": position} for position, each in enumerate(rows)]

        text = question(rows)

        assert len(lines(text, "| s")) == MAX_SENTINELS
        assert len(lines(text, "| t")) == len(lines(text, "| y")) == MAX_OF_A_STRATUM

    @pytest.mark.parametrize(
        ("name", "shown"),
        [
            ("a | b", r"a \| b"),
            ("<img src=x>", r"\<img src\=x\>"),
            ("[click](http://x.y)", r"\[click\]\(http\:\/\/x\.y\)"),
            ("two\nlines\u202e", "two lines"),
            ("Größe 東京", "Größe 東京"),
            ("x" * 100, "x" * (MAX_NAME - 1) + "…"),
        ],
    )
    def test_a_name_shows_nothing_but_itself(self, name: str, shown: str) -> None:
        assert plain(name) == shown

    def test_a_table_of_fewer_products_has_fewer_columns(self) -> None:
        few = FieldTable(FIELDS.property_id, FIELDS.upsert_key, FIELDS.products[:2])
        [head] = lines(pilot_question(Pilot([], [row("no product", 1)]), READ, REST, few), "| property")

        assert head.count("|") == 5


class TestLog:
    def test_it_counts_each_kind(self) -> None:
        said = describe_choice([Stratum("sentinel records", 2, 2), Stratum("no product", 1_300, 9)], ["1", "2"])

        assert said.splitlines()[1:] == ["- sentinel records: 2 of 2", "- no product: 9 of 1,300"]

    def test_sentinels_that_the_run_lacks_are_counted(self) -> None:
        assert "PILOT_SENTINELS names 3 properties; this run has 0 of them" in describe_choice([], ["1", "2", "3"])


def test_the_verdict_of_a_run_that_ended_with_its_pilot_says_what_to_do() -> None:
    assert REST.cure.startswith("1,246 records may not be sent, because nobody has approved the pilot.")
    assert "clear `approve_pilot` with downstream tasks" in REST.cure
