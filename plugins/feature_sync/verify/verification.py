"""
Looks at everything that a run relies on, and writes nothing.

The checks of `feature_sync.checks` are those of a run's first task. The others here ask what that task finds out by trying, and
what matters only later.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from feature_sync.backfill.scope import status_problems
from feature_sync.census.access import census_hook
from feature_sync.census.errors import CensusError
from feature_sync.checks import census_checks, org_findings, pool_checks, table_checks
from feature_sync.checks.census_checks import check_census
from feature_sync.checks.findings import Finding, Verdict, is_right, judged, not_checked, right, wrong
from feature_sync.checks.org_findings import check_org
from feature_sync.checks.pool_checks import check_pool
from feature_sync.checks.table_checks import check_ages, check_sources
from feature_sync.config.fields import FieldTableError
from feature_sync.config.names import DATABRICKS_CONN_ID
from feature_sync.config.problems import ProblemsError
from feature_sync.config.run_config import RunConfig
from feature_sync.config.settings import BadSettingsError, Settings, load_settings
from feature_sync.config.wording import count_of
from feature_sync.deployment.deploy import cure_of_source, judge_regular_sync
from feature_sync.deployment.value_check import UnjudgedError
from feature_sync.forecast.duration import most_batches
from feature_sync.storage.descriptions import Description
from feature_sync.storage.freshness import read_clock
from feature_sync.storage.marks import OwnTable
from feature_sync.storage.source_tables import source_columns
from feature_sync.storage.tables import look_at_own_tables
from feature_sync.storage.warehouse import ConnectError, Warehouse
from feature_sync.verify import clocks, keys, rights, surroundings
from feature_sync.verify.page import headline, render_page
from feature_sync.verify.surroundings import option_findings

if TYPE_CHECKING:
    from feature_sync.census.hook import CensusHook

log = logging.getLogger(__name__)

STATUSES, OWN_TABLES, REGULAR_SYNC = "statuses", "our own tables", "regular sync"
NEEDED_TO_JUDGE = (table_checks.CONNECTION, table_checks.SOURCES)
"""Without these, the regular sync's values cannot be compared with ours."""
USUAL = RunConfig()
"""A run with every parameter at its default, to say how many batches some records would be."""


class NotReadyForRunsError(ProblemsError):
    """A verification has found something wrong. The message lists it in the order to repair it."""

    heading = "What is wrong, in the order to repair it:"


@dataclass(frozen=True, slots=True)
class Verification:
    """``findings``: in the order in which to repair what is wrong."""

    findings: tuple[Finding, ...]
    at: datetime

    @property
    def page(self) -> str:
        return render_page(self.findings, self.at)

    @property
    def headline(self) -> str:
        return headline(self.findings)

    def refuse(self) -> None:
        """:raises NotReadyForRunsError: something is wrong."""
        if problems := [f"{each.name}: {each.text}" for each in self.findings if each.verdict is Verdict.WRONG]:
            raise NotReadyForRunsError(problems)


def verify(max_batches: int, *, overrides_params: bool = True) -> Verification:
    """
    Run every check. One that fails hides no other, and one that cannot be asked is not right.

    :param max_batches: Airflow's ``[core] max_map_length``.
    :param overrides_params: Airflow's ``[core] dag_run_conf_overrides_params``.
    """
    now = datetime.now(UTC)
    try:
        settings = load_settings()
        fields = len(list(settings.fields))
    except (BadSettingsError, FieldTableError) as error:
        rest = not_checked("everything else", "The rest, because nobody knows which tables and syncs are meant.")
        findings = [wrong("settings", str(error)), rest]
    else:
        findings = [right("settings", f"The settings and the field table can be used; {fields} columns are sent.")]
        findings += _look(settings, now, partial(option_findings, max_batches=max_batches, overrides_params=overrides_params))
    verification = Verification(tuple(findings), now)
    log.info("\n%s", verification.page)
    return verification


def _look(settings: Settings, now: datetime, check_options: Callable[[int], list[Finding]]) -> list[Finding]:
    census = census_hook()
    of_census = _ask(census_checks.SYNC, lambda: check_census(census, settings))
    has_sync = not any(each.verdict is Verdict.NOT_CHECKED for each in of_census)
    of_tables = [not_checked("tables", "Rights, tables, ages, keys, because the warehouse does not answer.")]
    counts = keys.Counts(0, 0, {})
    with Warehouse(settings) as warehouse:
        connection = _ask(table_checks.CONNECTION, lambda: _check_connection(warehouse))
        if is_right(connection):
            of_tables, counts = _look_at_tables(warehouse)
        can_judge = has_sync and is_right(each for each in (*connection, *of_tables) if each.name in NEEDED_TO_JUDGE)
        of_regular_sync = _ask(
            REGULAR_SYNC,
            lambda: _check_regular_sync(warehouse, census),
            "" if can_judge else "What the regular sync would write, because Census or the tables cannot be used.",
        )
        of_clock = _ask(
            clocks.NAME,
            lambda: clocks.check_warehouse_clock(warehouse),
            "" if is_right(connection) else "The warehouse's clock, because the warehouse does not answer.",
        )
    return [
        *_ask(pool_checks.NAME, lambda: check_pool(settings)),
        *check_options(_batches(counts.records)),
        *connection,
        *of_tables,
        *of_census,
        *of_regular_sync,
        *_ask(org_findings.NAME, lambda: check_org(settings, _batches(counts.differing))),
        *_ask(surroundings.OUTPUT, lambda: surroundings.check_output(settings)),
        *_ask(surroundings.ALERTS, lambda: surroundings.check_alerts(settings)),
        *_ask(surroundings.API, lambda: surroundings.check_api(census, now.date())),
        *of_clock,
        *_ask(
            clocks.NAME,
            lambda: clocks.check_census_clock(census, settings.census_sync_id),
            "" if has_sync else "Census's clock, because Census does not show the sync.",
        ),
    ]


def _batches(records: int) -> int:
    return most_batches(USUAL.strategy, records, USUAL.batch_size)


def _look_at_tables(warehouse: Warehouse) -> tuple[list[Finding], keys.Counts]:
    """:returns: what was found, and how many records there are and differ; 0 if that is not known."""
    settings = warehouse.settings
    sources = _ask(table_checks.SOURCES, lambda: check_sources(warehouse))
    ages = _ask(table_checks.AGES, lambda: check_ages(warehouse, sources))
    tables = list(source_columns(settings))
    read = tables if len(ages) == len(tables) else []  # one finding for each table: all of them were read
    own: dict[OwnTable, Description | None] = {}
    of_own = _ask(OWN_TABLES, lambda: _check_own_tables(warehouse, own))
    accepted = next((found for table, found in own.items() if table.name == settings.accepted_table), None)
    seen: list[keys.Counts] = []
    unusable = "" if is_right(sources) and read else ", because a table that is read cannot be used."
    look_at_keys = partial(keys.check_keys, warehouse, seen, knows_accepted=accepted is not None and is_right(of_own))
    findings = [
        *_ask(rights.NAME, lambda: rights.check_rights(warehouse, read, own)),
        *sources,
        *ages,
        *_ask(STATUSES, lambda: _check_statuses(warehouse), unusable and f"Whether every status is known{unusable}"),
        *_ask(keys.DUPLICATES, lambda: keys.check_duplicates(warehouse), unusable and f"Repeated ids{unusable}"),
        *_ask(keys.TWINS, lambda: keys.check_twins(warehouse), unusable and f"Shared objects{unusable}"),
        *_ask(keys.KEYS, look_at_keys, unusable and f"Keys and differences{unusable}"),
        *of_own,
    ]
    return findings, seen[0] if seen else keys.Counts(0, 0, {})


def _ask(name: str, check: Callable[[], list[Finding]], why_not: str = "") -> list[Finding]:
    """
    Run a check.

    :param why_not: why it makes no sense to run it. A check that fails although it makes sense has found something wrong.
    """
    if why_not:
        return [not_checked(name, why_not)]
    try:
        return check()
    except Exception as error:  # whatever it is, the other checks matter too
        return [wrong(name, f"This cannot be looked at: {type(error).__name__}: {error}")]


def _check_connection(warehouse: Warehouse) -> list[Finding]:
    try:
        read_clock(warehouse)
    except ConnectError as error:
        text = f"The warehouse cannot be reached ({DATABRICKS_CONN_ID}): {error}"
        return [wrong(table_checks.CONNECTION, text, is_temporary=error.is_temporary)]
    return [right(table_checks.CONNECTION, f"The warehouse answers ({DATABRICKS_CONN_ID}).")]


def _check_statuses(warehouse: Warehouse) -> list[Finding]:
    return judged(STATUSES, status_problems(warehouse), "Every property has a status that the settings know.")


def _check_own_tables(warehouse: Warehouse, own: dict[OwnTable, Description | None]) -> list[Finding]:
    """:param own: filled with what was found."""
    found, problems = look_at_own_tables(warehouse)
    own.update(found)
    known = sum(each is not None for each in found.values())
    new = len(found) - known
    later = f" {count_of(new, 'table')} of ours {'does' if new == 1 else 'do'} not exist yet; the first run creates them."
    return judged(OWN_TABLES, problems, f"{count_of(known, 'table')} can be used as ours.{later if new else ''}")


def _check_regular_sync(warehouse: Warehouse, census: "CensusHook") -> list[Finding]:
    settings = warehouse.settings
    try:
        found = judge_regular_sync(warehouse, census)
    except (UnjudgedError, CensusError) as error:
        unknown = f"It is unknown what the regular sync (Census sync {settings.census_property_sync_id}) would write. {error}"
        return [wrong(REGULAR_SYNC, unknown)]
    if found.problems:
        return [wrong(REGULAR_SYNC, "\n".join([*found.problems, cure_of_source(settings, found.source)]))]
    notes = "".join(f"\n{note}" for note in found.judgement.notes)
    yields = f"{found.source.name} yields {found.judgement.records:,} rows, and their values are right."
    return [right(REGULAR_SYNC, f"{yields}{notes}")]
