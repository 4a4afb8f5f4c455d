"""Judges the regular sync by what it yields: its query is run as a sub-query in the warehouse, and its values are compared."""

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from feature_sync.census.access import census_hook
from feature_sync.census.errors import CensusError, CensusForbiddenError, CensusRefusedError
from feature_sync.census.models import Dataset, Sync
from feature_sync.config.problems import UnusableQueryError
from feature_sync.config.settings import Settings
from feature_sync.deployment.mapped_columns import MappedColumns, UnknownKeyError, mapped_columns
from feature_sync.deployment.value_findings import Concern, ValueFinding, value_findings
from feature_sync.storage.source_tables import describe_source
from feature_sync.storage.warehouse import ConnectError, StatementError, Warehouse, quoted

if TYPE_CHECKING:
    from feature_sync.census.hook import CensusHook
    from feature_sync.deployment.parsed_query import ReadingQuery

log = logging.getLogger(__name__)

MAX_VIEWS = 10
"""Views whose text is shown, those behind other views included."""


class UnjudgedError(RuntimeError):
    """It is not known what the regular sync yields. The text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class RegularSource:
    """What the regular sync reads. ``name``: what messages call it. ``query``: SQL that yields its rows."""

    name: str
    query: str
    dataset: Dataset | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a query yields. ``records``: its rows. ``findings``: what is wrong with them, or worth knowing."""

    records: int
    findings: tuple[ValueFinding, ...]

    @property
    def wrong(self) -> list[str]:
        """A sentence for each thing that must not be sent to Salesforce."""
        return [each.text for each in self.findings if each.is_wrong]

    @property
    def notes(self) -> list[str]:
        """What is worth knowing, and no reason to stop."""
        return [each.text for each in self.findings if not each.is_wrong]

    def wrong_about(self, *concerns: Concern) -> list[str]:
        return [each.text for each in self.findings if each.is_wrong and each.concern in concerns]


def read_source(census: "CensusHook", sync: Sync) -> RegularSource:
    """
    Find out what a sync reads: the SQL of its dataset, or its table or view.

    :raises UnjudgedError: the token may not read the dataset, or the source is of another kind.
    """
    source = sync.source
    if source.table:
        return RegularSource(source.table, f"SELECT * FROM {'.'.join(quoted(part) for part in source.table.split('.'))}")
    dataset = None
    if source.dataset_id is not None:
        try:
            dataset = census.get_dataset(source.dataset_id)
        except (CensusForbiddenError, CensusRefusedError) as error:
            if not source.query:
                raise UnjudgedError(f"Census dataset {source.dataset_id} cannot be read: {error}") from error
            log.warning("Census dataset %s cannot be read; the sync's own query is judged: %s", source.dataset_id, error)
    query = source.query or (dataset and dataset.query)
    if not query:
        raise UnjudgedError(
            f"Census sync {sync.id} reads a source of type {source.type!r} that shows neither its table nor its query. Look "
            "at it in Census."
        )
    name = f"Census dataset {dataset.id} ({dataset.name})" if dataset else f"the source of Census sync {sync.id}"
    return RegularSource(name, query, dataset)


def judge(warehouse: Warehouse, sync: Sync, source: RegularSource) -> Judgement:
    """
    Run a query as a sub-query and compare each value that the sync would send with ours.

    :param sync: its mappings say which column feeds which field.
    :raises UnjudgedError: the query is not one that only reads, it fails, or nobody can say which record a row belongs to.
    :raises ConnectError: the warehouse cannot be reached.
    """
    from feature_sync.deployment.parsed_query import parse_query  # noqa: PLC0415 - slow

    settings = warehouse.settings
    try:
        query = parse_query(source.query)
        mapped = _mapped(warehouse, sync, query)
        [counts] = warehouse.fetch_all("deployment/check_source_values", names={"source": query.text, "mapped": mapped})
    except UnusableQueryError as error:
        raise UnjudgedError(f"{source.name} was not run, because its query {error}. Look at it in Census.") from error
    except UnknownKeyError as error:
        raise UnjudgedError(str(error)) from error
    except ConnectError:
        raise
    except StatementError as error:
        raise UnjudgedError(f"The query of {source.name} fails in the warehouse: {error}") from error
    operation = sync.operation or "unknown"  # then it may create records too
    findings = value_findings(counts, mapped, settings.fields, operation, settings.regular_sync_overwrite_share)
    return Judgement(counts["records"], tuple(findings))


def source_columns(warehouse: Warehouse, query: "ReadingQuery") -> list[str]:
    """
    The columns that a query yields, in its order.

    :raises UnusableQueryError: it yields two columns of one name.
    """
    [nothing] = warehouse.stream("deployment/select_source_columns", names={"source": query.text})
    names = nothing.schema.names
    if twice := [name for name, count in Counter(name.lower() for name in names).items() if count > 1]:
        raise UnusableQueryError(f"yields more than one column of the name {', '.join(twice)}")
    return list(names)


def regular_sync_warnings(warehouse: Warehouse) -> list[str]:
    """
    Say whether the next run of the regular sync would undo a repair.

    It never fails, because a backfill can do without: what is not known is said to be unknown.

    :returns: sentences. None if the regular sync yields what the warehouse says.
    """
    settings = warehouse.settings
    sync_id = settings.census_property_sync_id
    try:
        census = census_hook()
        sync = census.get_sync(sync_id)
        source = read_source(census, sync)
        found = judge(warehouse, sync, source).wrong_about(Concern.FEATURES)
    except (CensusError, StatementError, UnjudgedError) as error:
        return [f"It is unknown whether the regular sync (Census sync {sync_id}) would undo the repair: {error}"]
    if not found:
        return []
    state = "paused" if sync.paused else f"schedule {sync.schedule or 'unknown'}"
    head = (
        f"The repair would be undone by the next run of the regular sync (Census sync {sync.id}, {sync.label}, {state}): "
        f"{source.name} still yields wrong values. Correct it before."
    )
    return [head, *found]


def views_behind(warehouse: Warehouse, query: "ReadingQuery") -> dict[str, str | None]:
    """
    The text of each view that a query reads, and of those behind it, at most `MAX_VIEWS`.

    :returns: by name, quoted. None if the text may not be seen.
    """
    found: dict[str, str | None] = {}
    waiting = list(query.tables)
    looked: set[str] = set()
    while waiting and len(found) < MAX_VIEWS:
        name = waiting.pop(0)
        if name in looked:
            continue
        looked.add(name)
        try:
            rows = warehouse.fetch_all("deployment/describe_source", names={"table": name})
        except ConnectError:
            raise
        except StatementError as error:
            log.info("%s cannot be described: %s", name, error)
            found[name] = None
            continue
        facts = {(row["col_name"] or "").strip(): row["data_type"] for row in rows}
        if "VIEW" not in (facts.get("Type") or "").upper():
            continue
        found[name] = facts.get("View Text")
        waiting += _tables_of(found[name])
    return found


def _tables_of(text: str | None) -> Iterable[str]:
    from feature_sync.deployment.parsed_query import parse_query  # noqa: PLC0415 - slow

    try:
        return parse_query(text).tables if text else ()
    except UnusableQueryError:
        return ()


def _mapped(warehouse: Warehouse, sync: Sync, query: "ReadingQuery") -> MappedColumns:
    settings: Settings = warehouse.settings
    names = {name.lower() for name in source_columns(warehouse, query)}
    replica = describe_source(warehouse, settings.salesforce_table).columns
    properties = describe_source(warehouse, settings.properties_table).columns
    return mapped_columns(sync, settings.fields, names, replica, properties)
