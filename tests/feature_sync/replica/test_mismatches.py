"""The file of mismatches: each row has a cause, and the causes add up to the rows, whoever was asked."""

import csv
import datetime as dt
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from airflow.sdk import ObjectStoragePath

from feature_sync.config.settings import load_settings
from feature_sync.replica import mismatches
from feature_sync.replica.mismatches import Causes, write_mismatches
from feature_sync.salesforce.causes import Cause
from feature_sync.salesforce.errors import SalesforceError, SalesforceUnavailableError
from feature_sync.salesforce.models import RecordsRead, SalesforceRecord

FLAG = "fraud_detection_enabled_c"
NOON = dt.datetime(2025, 11, 24, 12, tzinfo=dt.UTC)
SCHEMA = pa.schema(
    [
        *(
            (name, pa.string())
            for name in ("salesforce_id", "reverse_etl_id_c", "field", "in_salesforce_value", "in_warehouse_value", "cause")
        ),
        *((name, pa.string()) for name in ("sent_outcome", "sent_value", "before_value", "changed_by")),
        *((name, pa.timestamp("us", "UTC")) for name in ("sent_from", "sent_until", "changed_at")),
    ]
)
BOUNDED = pa.schema([*SCHEMA, ("is_accepted", pa.bool_()), ("of_cause", pa.int64()), ("is_listed", pa.bool_())])


class Org:
    """Stands in for the reader: records that hold False, changed an hour before noon."""

    def __init__(self, held: bool = False, error: SalesforceError | None = None, hidden: Collection[str] = ()) -> None:
        self.held, self.error, self.hidden = held, error, frozenset(hidden)
        self.asked: list[list[str]] = []

    def is_configured(self) -> bool:
        return True

    def read_records(self, _: str, __: str, keys: Sequence[str], names: Sequence[str]) -> RecordsRead:
        self.asked.append(list(keys))
        if self.error:
            raise self.error
        values = {name: self.held for name in names if name not in self.hidden}
        at = NOON - dt.timedelta(hours=1)
        found = {key: (SalesforceRecord(f"a2P{key}", key, values, at, "Ada"),) if key != "gone" else () for key in keys}
        return RecordsRead(found, self.hidden)


@pytest.fixture
def org(monkeypatch: pytest.MonkeyPatch) -> Org:
    org = Org()
    monkeypatch.setattr(mismatches, "new_reader", lambda: org)
    return org


def row(key: str, cause: Cause = Cause.NOT_KNOWN, field: str | None = FLAG, **values: Any) -> dict[str, Any]:
    known = {"in_salesforce_value": "false", "in_warehouse_value": "true", "sent_outcome": "accepted", "sent_value": "true"}
    times = {"sent_from": NOON, "sent_until": NOON, "changed_at": None}
    own = {"salesforce_id": f"a2P{key}", "reverse_etl_id_c": key, "field": field, "cause": cause.value, "before_value": "false"}
    return own | known | times | values


def written(
    folder: Path, rows: list[dict[str, Any]], schema: pa.Schema = SCHEMA, size: int = 2
) -> tuple[Causes, list[dict[str, str]]]:
    path = folder / "mismatches.csv"
    tables = [pa.Table.from_pylist(rows[at : at + size], schema=schema) for at in range(0, max(len(rows), 1), size)]
    causes = write_mismatches(ObjectStoragePath(str(path)), tables, load_settings())
    with path.open(encoding="utf-8", newline="") as file:
        return causes, list(csv.DictReader(file))


def test_a_record_is_asked_for_once_and_its_rows_say_who_changed_it(tmp_path: Path, org: Org) -> None:
    causes, rows = written(tmp_path, [row("1"), row("2", Cause.REJECTED), row("2"), row("gone")])

    assert org.asked == [["1", "2"], ["gone"]]
    assert [each["cause"] for each in rows] == ["not_written", "rejected", "not_written", "not_known"]
    assert [each["changed_by"] for each in rows] == ["Ada", "Ada", "Ada", ""]
    assert [each["asked_value"] for each in rows] == ["false", "false", "false", ""]
    assert rows[0]["changed_at"] == "2025-11-24T11:00:00Z"
    assert causes.counts == {Cause.NOT_WRITTEN: 2, Cause.REJECTED: 1, Cause.NOT_KNOWN: 1}
    assert causes.note == "Salesforce itself was asked for 3 records."


def test_no_more_records_are_asked_for_than_the_limit(tmp_path: Path, org: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mismatches, "MAX_ASKED", 3)

    causes, rows = written(tmp_path, [row(str(number)) for number in range(6)])

    assert sum(map(len, org.asked)) == 3
    assert Counter(each["cause"] for each in rows) == {"not_written": 3, "not_known": 3}
    assert causes.total == 6


def test_if_salesforce_does_not_answer_the_causes_are_the_warehouses_and_the_note_says_so(tmp_path: Path, org: Org) -> None:
    org.error = SalesforceUnavailableError("Salesforce did not answer: 503.")

    causes, rows = written(tmp_path, [row("1"), row("2", Cause.NEVER_SENT), row("3")])

    assert len(org.asked) == 1
    assert [each["cause"] for each in rows] == ["not_known", "never_sent", "not_known"]
    assert causes.note == "Salesforce itself was not asked: Salesforce did not answer: 503."


def test_a_field_that_the_user_does_not_see_keeps_its_cause(tmp_path: Path, org: Org) -> None:
    org.hidden = frozenset({"fraud_detection_enabled__c"})

    causes, [only] = written(tmp_path, [row("1")])

    assert (only["cause"], only["changed_by"], only["asked_value"]) == ("not_known", "Ada", "")
    assert causes.counts == {Cause.NOT_KNOWN: 1}


def test_a_record_that_cannot_be_compared_is_not_asked_for(tmp_path: Path, org: Org) -> None:
    written(tmp_path, [row("1", Cause.UNKNOWN_ON_ONE_SIDE, field=None)])

    assert org.asked == []


def test_nothing_differs(tmp_path: Path, org: Org) -> None:
    causes, rows = written(tmp_path, [])

    assert (rows, org.asked, causes.total, causes.note, causes.sentence) == ([], [], 0, "", "")
    assert set(causes.as_json().values()) == {0}


def test_a_bounded_list_counts_what_it_does_not_list_and_what_is_accepted_apart(tmp_path: Path, org: Org) -> None:  # noqa: ARG001
    listed = {"is_accepted": False, "of_cause": 1_000, "is_listed": True}
    given = [
        row("1", **listed),
        row("2", **listed),
        row("3", Cause.REJECTED, is_accepted=True, of_cause=7, is_listed=True),
        row("4", Cause.NEVER_SENT, is_accepted=False, of_cause=20, is_listed=False),
    ]

    causes, rows = written(tmp_path, given, BOUNDED)

    assert [each["reverse_etl_id_c"] for each in rows] == ["1", "2", "3"]
    assert not {"of_cause", "is_listed"} & set(rows[0])
    assert causes.rows == [
        (Cause.NOT_WRITTEN, 2, 2),
        (Cause.REJECTED, 7, 0),
        (Cause.NEVER_SENT, 20, 20),
        (Cause.NOT_KNOWN, 998, 998),
    ]
    assert (causes.total, causes.total_new) == (1_027, 1_020)
    assert causes.sentence == (
        "Causes, field by field: of 1,020 differences, 2 accepted by Census but not written; 20 never sent; 998 of a cause "
        "that is not known. Salesforce itself was asked for 3 records."
    )


def test_a_record_that_was_made_again_says_nothing_of_the_one_that_is_gone(tmp_path: Path, org: Org) -> None:
    _, [only] = written(tmp_path, [row("1", Cause.NO_RECORD, salesforce_id="a2Pbefore")])

    assert org.asked == [["1"]]
    assert (only["cause"], only["changed_by"], only["asked_value"]) == ("no_record", "", "")


def test_what_salesforce_itself_has_said_is_not_asked_again(tmp_path: Path, org: Org) -> None:
    path = tmp_path / "mismatches.csv"
    table = pa.Table.from_pylist([row("1", Cause.NOT_WRITTEN, changed_by="Bo")], schema=SCHEMA)

    causes = write_mismatches(ObjectStoragePath(str(path)), [table], load_settings(), was_asked=True)

    assert org.asked == []
    with path.open(encoding="utf-8", newline="") as file:
        [only] = csv.DictReader(file)
    assert (only["cause"], only["changed_by"], only["asked_value"]) == ("not_written", "Bo", "false")
    assert causes.note == "Salesforce itself was asked for all of them."
