"""The first step of a run as a test calls it, and what it may do to the world."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from feature_sync.backfill.preconditions import check_preconditions
from feature_sync.config.problems import GuardError, NotReadyError, RunConfigError
from feature_sync.config.settings import load_settings
from tests.sandbox.client import Sandbox

MAX_BATCHES = 1024
INCIDENT = {"scope": "created_between", "created_from": "2025-11-21", "created_to": "2025-11-21"}
PROPERTIES = "rds.pg_rds_public.properties"
FEATURES = "crm.sfdc_dbx.product_property_w_features"
REPLICA = "crm.salesforce.product_property_c"
SOURCE_SETTINGS = {PROPERTIES: "PROPERTIES_TABLE", FEATURES: "FEATURES_TABLE", REPLICA: "SALESFORCE_TABLE"}
OUR_TABLES = (
    "payload_table",
    "batch_table",
    "sync_log_table",
    "rejection_table",
    "drift_table",
    "difference_table",
    "accepted_table",
    "read_back_table",
    "approval_table",
)
DOWN = "http://127.0.0.1:1"
Conf = dict[str, Any]
ByHand = Callable[[], AbstractContextManager[None]]


@dataclass
class Watch:
    """The journal of one test, without what the test itself did inside ``with by_hand()``."""

    sandbox: Sandbox
    seen: int
    entries: list[dict[str, Any]] = field(default_factory=list)

    def read(self) -> list[dict[str, Any]]:
        """What was journaled since the last look; it stays among the entries."""
        found = self.sandbox.journal(after=self.seen)
        self.seen = max((entry["seq"] for entry in found), default=self.seen)
        self.entries += found
        return found

    @contextmanager
    def by_hand(self) -> Iterator[None]:
        self.read()
        kept = list(self.entries)
        try:
            yield
        finally:
            self.read()
            self.entries = kept


def statements_of(entries: list[dict[str, Any]]) -> list[str]:
    """SQL without comments, each on one line."""
    texts = [entry["sql"] for entry in entries if entry["kind"] == "warehouse.statement"]
    return [" ".join(re.sub(r"--[^\n]*", "", text).split()) for text in texts]


def writing_statements(entries: list[dict[str, Any]]) -> list[str]:
    return [sql for sql in statements_of(entries) if not re.match(r"(SELECT|WITH|DESCRIBE TABLE|DESCRIBE DETAIL) ", sql)]


def makes_or_proves_a_table_of_ours(sql: str) -> bool:
    settings = load_settings()
    ours = "|".join(re.escape(getattr(settings, name)) for name in OUR_TABLES)
    columns = r"\( \w+ \w+(, \w+ \w+)* \)"
    clustered = r"(CLUSTER BY \(run_id(, batch_number)?\) )?"
    return bool(
        re.fullmatch(
            rf"CREATE TABLE IF NOT EXISTS ({ours}) {columns} {clustered}TBLPROPERTIES \('feature_sync.table' = '\w+/1'\)", sql
        )
        or re.fullmatch(rf"ALTER TABLE ({ours}) ADD COLUMNS {columns}", sql)
        or re.fullmatch(rf"DELETE FROM ({ours}) WHERE FALSE", sql)
    )


@pytest.fixture(autouse=True)
def watch(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Watch]:
    """Holds for every test of this file, whatever it is about: no data is written, and Census is only asked."""
    monkeypatch.setenv("FEATURE_SYNC_OUTPUT_PATH", str(tmp_path / "output"))
    watch = Watch(sandbox, sandbox.seq())
    yield watch
    watch.read()
    assert [sql for sql in writing_statements(watch.entries) if not makes_or_proves_a_table_of_ours(sql)] == []
    assert [entry for entry in watch.entries if entry["kind"] == "census.request" and entry["method"] != "GET"] == []
    assert [entry for entry in watch.entries if entry["kind"] in ("census.run.started", "salesforce.transaction")] == []
    output = tmp_path / "output"
    assert not output.exists() or list(output.iterdir()) == [], "the write test left a file behind"


def check(conf: Conf, max_batches: int = MAX_BATCHES) -> dict[str, Any]:
    return check_preconditions(conf, max_batches)


def problems_of(conf: Conf, kind: type[Exception] = GuardError) -> list[str]:
    """One sentence for each thing that is wrong, from the message itself."""
    with pytest.raises((GuardError, NotReadyError, RunConfigError)) as refused:
        check(conf)
    assert refused.type is kind, refused.value
    head, *problems = str(refused.value).split("\n- ")
    assert head.endswith(":")
    return problems


def made_tables(sandbox: Sandbox) -> set[str]:
    rows = sandbox.sql("SELECT table_name FROM information_schema.tables WHERE table_schema = 'sfdc_dbx'")
    return {f"crm.sfdc_dbx.{row[0]}" for row in rows}


def is_tried_again(error: Exception) -> bool:
    from airflow.sdk import RetryAction  # noqa: PLC0415 - slow, and few tests need it

    from feature_sync.task_defaults.retry_policy import RETRY_POLICY  # noqa: PLC0415

    rules = [rule for rule in RETRY_POLICY.rules if isinstance(rule.exception, type) and isinstance(error, rule.exception)]
    return rules[0].action is RetryAction.RETRY
