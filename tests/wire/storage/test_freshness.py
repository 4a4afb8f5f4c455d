"""What stops every step that chooses, freezes or compares records: tables that are too old, or not as they must be."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from feature_sync.backfill.payload import freeze_payload
from feature_sync.backfill.preconditions import check_preconditions
from feature_sync.config.problems import GuardError
from feature_sync.config.settings import load_settings
from feature_sync.reconciliation.accepting import accept
from feature_sync.reconciliation.comparison import compare
from feature_sync.storage.freshness import Freshness, read_freshness
from feature_sync.storage.warehouse import Warehouse
from tests.wire.few import Few

ALL = {"scope": "all"}
STEPS: dict[str, Callable[[], object]] = {
    "preconditions": lambda: check_preconditions(ALL, 1024),
    "freeze": lambda: freeze_payload(ALL, "old"),
    "compare": lambda: compare("old"),
    "accept": lambda: accept(acceptance(), "old", "ada"),
}
every_step = pytest.mark.parametrize("step", STEPS)


def acceptance() -> dict[str, object]:
    until = datetime.now(UTC) + timedelta(days=7)
    return {"class": "wrongly_false", "ids": ["1"], "reason": "known for long", "accepted_until": until.date().isoformat()}


def refusal(step: str) -> str:
    with pytest.raises(GuardError) as refused:
        STEPS[step]()
    [problem] = refused.value.problems
    return problem


def ages() -> dict[str, Freshness]:
    with Warehouse(load_settings()) as warehouse:
        return {each.table: each for each in read_freshness(warehouse)}


def age(few: Few, table: str, days: float) -> None:
    """As if the job that fills a table had stopped."""
    moment = datetime.now(UTC) - timedelta(days=days)
    few.control("POST", "tables", {"table": table, "changed_at": moment.isoformat()})


@every_step
def test_an_old_replica_is_refused(few: Few, step: str) -> None:
    few.sql("UPDATE {replica} SET _fivetran_synced = current_timestamp() - INTERVAL 20 DAYS")

    assert refusal(step).startswith(f"{few.replica} is too old to choose records by: its newest row is of 20")


@every_step
def test_an_old_feature_table_is_refused_although_no_row_has_a_time(few: Few, step: str) -> None:
    age(few, few.features, 300)

    problem = refusal(step)

    assert problem.startswith(f"{few.features} is too old")
    assert "(SOURCE_AGE_LIMIT_SECONDS allows 259,200 s)" in problem


@every_step
def test_a_record_that_may_or_may_not_be_deleted_is_refused(few: Few, step: str) -> None:
    few.sql("UPDATE {replica} SET is_deleted = NULL WHERE id = (SELECT MIN(id) FROM {replica})")

    assert refusal(step).startswith(f"{few.replica} has 1 row with an empty is_deleted, so nobody can say whether")


@every_step
@pytest.mark.parametrize(("table", "setting"), [("properties", "PROPERTIES"), ("features", "FEATURES")])
def test_a_table_with_deleted_rows_that_no_setting_names_is_refused(few: Few, step: str, table: str, setting: str) -> None:
    name = getattr(few, table)
    few.sql(f"CREATE OR REPLACE TABLE {name} AS SELECT *, FALSE AS _fivetran_deleted FROM {name}")

    assert refusal(step).startswith(f"{name} has the column _fivetran_deleted, but {setting}_DELETED_COLUMN is empty")


@every_step
def test_a_table_that_keeps_former_rows_is_refused(few: Few, step: str) -> None:
    few.sql("CREATE OR REPLACE TABLE {features} AS SELECT *, TRUE AS _fivetran_active FROM {features}")

    assert "so it is a history table" in refusal(step)


@every_step
def test_a_column_of_another_type_is_refused(few: Few, step: str) -> None:
    few.sql(
        "CREATE OR REPLACE TABLE {features} AS SELECT * REPLACE (CAST(fraud_enabled AS STRING) AS fraud_enabled) FROM {features}"
    )

    assert refusal(step).startswith(f"{few.features}: fraud_enabled is string; it must be boolean.")


def test_the_rows_count_more_than_the_last_change_of_the_table(few: Few) -> None:
    old = "current_timestamp() - INTERVAL 9 DAYS AS _fivetran_synced"
    few.sql(f"CREATE OR REPLACE TABLE {{properties}} AS SELECT *, {old} FROM {{properties}}")

    assert refusal("preconditions").startswith(f"{few.properties} is too old")


def test_the_order_of_feature_rows_says_how_old_they_are(few: Few, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_FEATURES_ORDER_COLUMN", "built_at")
    few.sql("CREATE OR REPLACE TABLE {features} AS SELECT *, TIMESTAMP'2025-11-20 04:00:00' AS built_at FROM {features}")

    assert refusal("preconditions").startswith(
        f"{few.features} is too old to choose records by: its newest row is of 2025-11-20 04:00"
    )


def test_a_time_in_the_future_does_not_make_a_table_fresh(few: Few) -> None:
    few.sql("UPDATE {replica} SET _fivetran_synced = current_timestamp() - INTERVAL 20 DAYS")
    few.sql("UPDATE {replica} SET _fivetran_synced = TIMESTAMP'2099-01-01' WHERE id = (SELECT MIN(id) FROM {replica})")

    assert "is too old" in refusal("preconditions")


class TestUnknownAge:
    @pytest.fixture
    def view(self, few: Few, monkeypatch: pytest.MonkeyPatch) -> str:
        """A view without a time: nobody can say how old its rows are."""
        few.sql("CREATE OR REPLACE VIEW crm.sfdc_dbx.few_view AS SELECT * FROM {features}")
        monkeypatch.setenv("FEATURE_SYNC_FEATURES_TABLE", "crm.sfdc_dbx.few_view")
        return "crm.sfdc_dbx.few_view"

    def test_it_is_refused_and_says_what_to_do(self, view: str) -> None:
        assert ages()[view].newest_at is None
        problem = refusal("preconditions")
        assert problem.startswith(f"Nobody can say how old {view} is")
        assert problem.endswith("or set SOURCE_AGE_LIMIT_SECONDS to 0 if that does not matter.")

    @pytest.mark.usefixtures("few", "view")
    def test_a_person_can_say_that_it_does_not_matter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FEATURE_SYNC_SOURCE_AGE_LIMIT_SECONDS", "0")

        assert check_preconditions(ALL, 1024)["records"] == 8
