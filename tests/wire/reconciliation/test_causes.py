"""The cause of every difference in the weekly run: one for each set of facts, and always one, so that they add up."""

from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from feature_sync.backfill.payload import freeze_payload
from feature_sync.census.models import RowRecord
from feature_sync.config.settings import load_settings
from feature_sync.reconciliation import comparison
from feature_sync.reconciliation.comparison import DriftError, conclude
from feature_sync.reconciliation.verdict import Finding, Steps
from feature_sync.salesforce.causes import Cause
from feature_sync.sending.batches import Attempt, AttemptStatus
from feature_sync.sending.sync_log import SyncLog
from feature_sync.storage.warehouse import Warehouse
from tests.wire.few import Few, folder

pytestmark = pytest.mark.usefixtures("three_products")
KEY, UPSERT = "snappt_property_id_c", "reverse_etl_id_c"
FLAG, START, UPDATED = "fraud_detection_enabled_c", "fraud_detection_start_date_c", "fraud_detection_updated_date_c"
DONE = Steps(replica="success", comparison="success", approval="skipped", healing="skipped")
NOTHING = Finding(heals=False, question=None, run_config={}, reason="", mismatched=0)
BEFORE, BEGAN, WRITTEN, ENDED, AFTER, LONG_AFTER = (
    f"2025-11-24T{time}:00+00:00" for time in ("00:00", "01:00", "01:01", "01:02", "01:30", "09:00")
)


class Sent:
    """A run that switches a flag on in eight records, and gives them a start. Its ``one`` record is what tests are about."""

    def __init__(self, few: Few) -> None:
        self.few, self.run_id = few, "sent"
        settings = load_settings()
        self.payload, self.log, self.rejections = settings.payload_table, settings.sync_log_table, settings.rejection_table
        self.one, self.two, *_ = few.ids()
        self.harm(f"{FLAG} = FALSE, {START} = NULL", at=BEFORE, where="TRUE")
        freeze_payload({"scope": "all", "batch_size": 50}, self.run_id)
        few.sql(f"UPDATE {self.payload} SET batch_number = 1 WHERE run_id = '{self.run_id}'")

    def attempt(self, status: AttemptStatus = AttemptStatus.SUCCEEDED, number: int = 1, **values: Any) -> None:
        known = {"sync_run_id": 1_000 + number, "records_rejected": 0, "run_started_at": BEGAN, "run_ended_at": ENDED} | values
        with Warehouse(load_settings()) as warehouse:
            SyncLog(warehouse).record(Attempt(self.run_id, 1, number, status, 8, **known))

    def reject(self, reason: str, key: str | None = None) -> None:
        with Warehouse(load_settings()) as warehouse:
            row = RowRecord(identifier=key or self.one, status="rejected", status_message=reason)
            SyncLog(warehouse).record_rejections(Attempt(self.run_id, 1, 1, AttemptStatus.FAILED, 8), [row])

    def write(self, *, but: str = "") -> None:
        """What was sent reaches Salesforce and the replica, but for one record; another record changes long after."""
        columns = (FLAG, START, UPDATED)
        values = ", ".join(f"{each} = sent.{each}" for each in columns)
        self.few.sql(
            f"MERGE INTO {{replica}} AS replica USING (SELECT * FROM {self.payload} WHERE run_id = '{self.run_id}') AS sent "
            f"ON replica.id = sent.salesforce_id AND replica.{KEY} <> '{but}' "
            f"WHEN MATCHED THEN UPDATE SET {values}, system_modstamp = CAST('{WRITTEN}' AS TIMESTAMP)"
        )

    def pass_by(self) -> None:
        """The replica shows something that changed long after the run, so it has passed the run."""
        self.harm(f"{KEY} = {KEY}", at=LONG_AFTER, where=f"{KEY} = '{self.two}'")

    def harm(self, change: str, *, at: str = AFTER, where: str = "") -> None:
        self.few.sql(f"UPDATE {{replica}} SET {change}, system_modstamp = CAST('{at}' AS TIMESTAMP) WHERE {where or self.is_one}")

    @property
    def is_one(self) -> str:
        return f"{KEY} = '{self.one}'"

    def rows(self) -> list[dict[str, Any]]:
        return self.few.listed()

    def causes(self) -> dict[str, str]:
        """Of the fields of the record that the test is about."""
        return {row["field"]: row["cause"] for row in self.rows() if row[KEY] == self.one}


@pytest.fixture
def sent(few: Few) -> Iterator[Sent]:
    sent = Sent(few)
    yield sent
    for table in (sent.payload, sent.log, sent.rejections):
        few.sql(f"DELETE FROM {table} WHERE TRUE")


def test_never_sent(sent: Sent) -> None:
    frozen = sent.causes()
    sent.attempt(AttemptStatus.HALTED, sync_run_id=None, records_rejected=None)

    assert frozen == sent.causes() == {FLAG: Cause.NEVER_SENT, START: Cause.NEVER_SENT}


def test_left_out_is_never_sent(sent: Sent) -> None:
    sent.reject("CHANGED_SINCE_FREEZE: somebody changed it")
    sent.attempt(AttemptStatus.FAILED, records_rejected=1)
    sent.write(but=sent.one)

    assert set(sent.causes().values()) == {Cause.NEVER_SENT}


def test_rejected(sent: Sent) -> None:
    sent.reject("NO_GOOD")
    sent.attempt(AttemptStatus.FAILED, records_rejected=1)
    sent.write(but=sent.one)

    assert sent.causes() == {FLAG: Cause.REJECTED, START: Cause.REJECTED}
    assert {(row["rejection"], row["sent_by_run"]) for row in sent.rows() if row[KEY] == sent.one} == {("NO_GOOD", "sent")}


@pytest.mark.parametrize(
    ("status", "values"),
    [
        pytest.param(AttemptStatus.SENDING, {"records_rejected": None, "run_ended_at": None}, id="open"),
        pytest.param(AttemptStatus.SENDING, {"records_rejected": None, "sync_run_id": None}, id="trigger-unanswered"),
        pytest.param(AttemptStatus.FAILED, {"records_rejected": None}, id="failed-without-row-records"),
    ],
)
def test_an_attempt_whose_outcome_nobody_knows_proves_nothing(sent: Sent, status: AttemptStatus, values: dict[str, Any]) -> None:
    sent.attempt(status, **values)
    sent.pass_by()

    assert set(sent.causes().values()) == {Cause.NOT_KNOWN}


@pytest.mark.parametrize(
    ("status", "records_rejected"),
    [(AttemptStatus.SUCCEEDED, 0), (AttemptStatus.ACCEPTED_BY_COUNTERS, None), (AttemptStatus.DIFFERS, None)],
)
def test_said_yes_but_not_written(sent: Sent, status: AttemptStatus, records_rejected: int | None) -> None:
    sent.attempt(status, records_rejected=records_rejected)
    sent.write(but=sent.one)
    behind = sent.causes()
    sent.pass_by()

    assert set(behind.values()) == {Cause.NOT_KNOWN}, "the replica may be behind"
    assert sent.causes() == {FLAG: Cause.NOT_WRITTEN, START: Cause.NOT_WRITTEN}


def test_the_last_attempt_decides(sent: Sent) -> None:
    sent.reject("NO_GOOD")
    sent.attempt(AttemptStatus.FAILED, records_rejected=1)
    sent.attempt(number=2, resends_rejections_of=1)
    sent.write(but=sent.one)
    sent.pass_by()

    assert set(sent.causes().values()) == {Cause.NOT_WRITTEN}


class TestEdited:
    @pytest.fixture(autouse=True)
    def _written(self, sent: Sent) -> None:
        sent.attempt()
        sent.write()
        assert sent.rows() == []

    def test_to_a_value_that_nobody_sent(self, sent: Sent) -> None:
        sent.harm(f"{START} = DATE'2001-02-03'")

        assert sent.causes() == {START: Cause.EDITED_IN_SALESFORCE}

    def test_although_it_was_right_before_the_run(self, sent: Sent) -> None:
        sent.harm("idv_only_enabled_c = TRUE")

        assert sent.causes() == {"idv_only_enabled_c": Cause.EDITED_IN_SALESFORCE}

    def test_back_to_what_it_was_because_the_record_and_the_field_had_been_written(self, sent: Sent) -> None:
        sent.harm(f"{FLAG} = FALSE")

        assert sent.causes() == {FLAG: Cause.EDITED_IN_SALESFORCE}

    def test_back_to_what_it_was_proves_nothing_if_no_other_field_shows_that_it_was_written(self, sent: Sent) -> None:
        sent.harm(f"{FLAG} = FALSE, {START} = NULL")

        assert sent.causes() == {FLAG: Cause.NOT_KNOWN, START: Cause.NOT_KNOWN}

    def test_back_to_what_it_was_proves_nothing_if_the_field_was_written_in_no_record(self, sent: Sent) -> None:
        sent.harm(f"{FLAG} = FALSE", where="TRUE")

        assert {row["cause"] for row in sent.rows()} == {Cause.NOT_KNOWN}

    def test_from_a_flag_that_was_unknown_before_proves_nothing(self, sent: Sent) -> None:
        sent.few.sql(f"UPDATE {sent.payload} SET before_{FLAG} = NULL, before_{START} = {START}")
        sent.harm(f"{FLAG} = FALSE")

        assert sent.causes() == {FLAG: Cause.NOT_KNOWN}


class TestMoved:
    @pytest.fixture(autouse=True)
    def _written(self, sent: Sent) -> None:
        sent.attempt()
        sent.write()
        sent.few.sql(f"UPDATE {{features}} SET fraud_enabled = FALSE WHERE property_id = '{sent.one}'")

    def test_in_the_source_since(self, sent: Sent) -> None:
        assert sent.causes() == {FLAG: Cause.MOVED_IN_SOURCE}

    def test_an_undo_sends_what_the_source_does_not_say(self, sent: Sent) -> None:
        found = []
        for is_undo in ("TRUE", "NULL"):
            sent.few.sql(f"UPDATE {sent.payload} SET is_undo = {is_undo}")
            found.append(sent.causes())

        assert found == [{FLAG: Cause.UNDONE}, {FLAG: Cause.NOT_KNOWN}], "a run of an older version does not say what it was"


@pytest.mark.parametrize(
    ("change", "kind", "cause"),
    [
        pytest.param(f"UPDATE {{replica}} SET {FLAG} = NULL", "unknown_in_salesforce", Cause.UNKNOWN_ON_ONE_SIDE, id="empty"),
        pytest.param(
            "UPDATE {features} SET fraud_enabled = NULL", "unknown_in_warehouse", Cause.UNKNOWN_ON_ONE_SIDE, id="empty-feature"
        ),
        pytest.param(f"UPDATE {{replica}} SET {UPSERT} = '1'", "key_mismatch", Cause.UNKNOWN_ON_ONE_SIDE, id="keys"),
        pytest.param("DELETE FROM {replica}", "missing_in_salesforce", Cause.NO_RECORD, id="no-record"),
    ],
)
def test_unknown_on_one_side(sent: Sent, change: str, kind: str, cause: Cause) -> None:
    sent.attempt()
    sent.write()
    column = "property_id" if "{features}" in change else KEY
    sent.few.sql(f"{change} WHERE {column} = '{sent.one}'")

    assert [(row["class"], row["cause"]) for row in sent.rows() if row[KEY] == sent.one] == [(kind, cause)]


def test_true_through_a_sibling(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_TWIN_COLUMN", "sfdc_id")
    sent.attempt()
    sent.write()
    sent.few.sql(f"UPDATE {{properties}} SET sfdc_id = 'shared', status = 'ACTIVE' WHERE id IN ({sent.one}, {sent.two})")
    sent.few.sql(f"UPDATE {{features}} SET fraud_enabled = FALSE WHERE property_id = '{sent.one}'")

    assert sent.causes() == {FLAG: Cause.TRUE_THROUGH_SIBLING}


def test_representation_only(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_DATETIME_FIELDS", f'["{START}"]')
    few = sent.few
    few.sql("UPDATE {features} SET fraud_enabled_at = TIMESTAMP'2025-11-21 10:00:00.654321'")
    held = f"CASE WHEN {sent.is_one} THEN TIMESTAMP'2025-11-21 10:00:00.5' ELSE TIMESTAMP'2025-11-21 10:00:01' END AS {START}"
    few.sql(f"CREATE OR REPLACE TABLE {{replica}} AS SELECT * EXCEPT ({START}), {held} FROM {{replica}}")

    causes = {(row[KEY] == sent.one, row["cause"]) for row in sent.rows() if row["field"] == START}

    assert causes == {(True, Cause.REPRESENTATION_ONLY), (False, Cause.NEVER_SENT)}


@pytest.mark.parametrize("seed", range(3))
def test_in_any_mixture_the_causes_add_up_to_the_rows(sent: Sent, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(seed)  # noqa: S311 - data for tests
    sent.reject("NO_GOOD", random.choice(sent.few.ids()))
    sent.attempt(random.choice([AttemptStatus.FAILED, AttemptStatus.SUCCEEDED]), records_rejected=random.choice([None, 1]))
    sent.write(but=random.choice(sent.few.ids()))
    changes = (f"{FLAG} = FALSE", f"{FLAG} = NULL", f"{START} = DATE'2001-02-03'", "idv_only_enabled_c = TRUE", f"{UPSERT} = '1'")
    for key in sent.few.ids():
        if random.random() < 0.7:
            sent.harm(random.choice(changes), at=random.choice([AFTER, LONG_AFTER]), where=f"{KEY} = '{key}'")
        if random.random() < 0.3:
            sent.few.sql(f"UPDATE {{features}} SET fraud_enabled = NOT fraud_enabled WHERE property_id = '{key}'")

    report, rows = sent.few.compare()
    monkeypatch.setattr(comparison, "MAX_DIFFERENCES", 1)
    bounded, fewer = sent.few.compare()

    assert Counter(row["cause"] for row in rows) == {name: count for name, count in report["causes"].items() if count}
    assert sum(report["causes"].values()) == len(rows) > len(fewer)
    assert (bounded["causes"], bounded["causes_new"]) == (report["causes"], report["causes_new"])
    classes = Counter(row["class"] for row in rows)
    by_record = {kind: count for kind, count in classes.items() if kind != "date_differs"}
    assert by_record == {kind: n for kind, n in report["differences"].items() if n and kind != "date_differs"}


def test_the_report_the_log_and_the_message_name_the_causes(sent: Sent, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    sent.attempt()
    sent.write()
    sent.harm(f"{START} = DATE'2001-02-03'")

    with pytest.raises(DriftError) as failed:
        conclude("few", NOTHING, DONE)

    said = (
        "Causes, field by field: of 1 difference, 1 edited in Salesforce by a person or an automation. Salesforce itself was not "
    )
    assert f"{said}asked: there is no connection salesforce_default." in str(failed.value)
    page = (folder("few") / "report.html").read_text()
    assert '<tr><td>edited in Salesforce by a person or an automation</td><td class="n">1</td>' in page
    assert "there is no connection salesforce_default" in page
    assert "edited in Salesforce by a person or an automation" in caplog.text
