"""Brings the corrected source query to Census: compare, try it, let a person approve, patch, read back."""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from feature_sync.census.access import census_hook
from feature_sync.census.models import Dataset, Sync
from feature_sync.config.names import DEPLOY_DAG_ID
from feature_sync.config.problems import UnusableQueryError
from feature_sync.config.settings import Settings, SourceQuery, load_settings
from feature_sync.deployment.mapped_columns import other_mappings, property_column
from feature_sync.deployment.regular_sync import (
    corrected_mappings,
    regular_mapping_problems,
    regular_sync_problems,
    unknown_column_problems,
)
from feature_sync.deployment.value_check import (
    Judgement,
    RegularSource,
    UnjudgedError,
    judge,
    read_source,
    source_columns,
    views_behind,
)
from feature_sync.deployment.value_findings import Concern
from feature_sync.storage.warehouse import ConnectError, StatementError, Warehouse

if TYPE_CHECKING:
    from feature_sync.census.hook import CensusHook

log = logging.getLogger(__name__)


class SourceQueryError(RuntimeError):
    """The regular sync would write wrong values, or nobody knows what it would write. The message has the numbers."""


class DeployError(RuntimeError):
    """The source query, or the mappings, could not be brought to Census as approved."""


@dataclass(frozen=True, slots=True)
class CensusState:
    """
    What Census has now, and what is wrong with it.

    ``wanted``: the query that its dataset must have.
    ``keeps_others``: whether that contains the query that Census has, for the columns that the sync maps beside ours.
    """

    dataset: Dataset
    sync: Sync
    wanted: str
    keeps_others: bool
    difference: str | None
    mapping_problems: list[str]
    other_problems: list[str]

    @property
    def dataset_name(self) -> str:
        """What messages call the dataset."""
        return f"Census dataset {self.dataset.id} ({self.dataset.name})"

    @property
    def becomes(self) -> str:
        """The new query, in words."""
        statement = load_settings().source_query.statement
        if self.keeps_others:
            return (
                f"include/sql/{statement}_with_others.sql: the query that Census has stays in it as "
                "feature_sync_others and yields all other columns; the features come from the feature table. Rows of properties "
                "whose features are not known for sure are left out"
            )
        return f"include/sql/{statement}.sql"

    @property
    def query_digest(self) -> str:
        """Changes with the query in Census and with the one of the repository."""
        return _digest(self.dataset.query + "\0" + self.wanted)

    @property
    def mappings_digest(self) -> str:
        """Changes with the mappings in Census."""
        return _digest(json.dumps([mapping.attributes for mapping in self.sync.mappings], sort_keys=True))


@dataclass(frozen=True, slots=True)
class Deployment:
    """
    What a person approves.

    ``question``: the changes, in Markdown, or None if there is nothing to change.
    ``query``, ``mappings``: digests of what the question is about, see `CensusState`.
    """

    question: str | None
    query: str
    mappings: str

    def as_xcom(self) -> dict[str, Any]:
        return {"question": self.question, "approved": {"query": self.query, "mappings": self.mappings}}

    @classmethod
    def from_xcom(cls, value: Mapping[str, Any]) -> "Deployment":
        return cls(value["question"], value["approved"]["query"], value["approved"]["mappings"])


@dataclass(frozen=True, slots=True)
class RegularSync:
    """The regular sync with what it would write. ``problems``: what is wrong with its values and its settings, as lines."""

    sync: Sync
    source: RegularSource
    judgement: Judgement
    problems: tuple[str, ...]


def check_source_query() -> dict[str, Any]:
    """
    Check what the regular sync would write: its query is run in the warehouse, and each value is compared with ours.

    A query with another text is no problem as long as its values are right. The difference is logged, with the text of the views
    that the query reads.

    :returns: what was judged, how many rows it yields, what is worth knowing, and whether its text differs from the repository's.
    :raises SourceQueryError: a value is wrong, a mapping is, or it is unknown what the sync would write.
    """
    settings = load_settings()
    with Warehouse(settings) as warehouse:
        try:
            found = judge_regular_sync(warehouse, census_hook())
        except UnjudgedError as error:
            unknown = f"It is unknown what the regular sync (Census sync {settings.census_property_sync_id}) would write. {error}"
            raise SourceQueryError(unknown) from error
        texts = _text_differences(warehouse, found.sync, found.source)
    notes = [*found.judgement.notes, *texts]
    for note in notes:
        log.warning("%s", note)
    if problems := found.problems:
        raise SourceQueryError("\n".join([*problems, cure_of_source(settings, found.source), *_for_information(notes)]))
    records = found.judgement.records
    log.info("%s yields %s rows, and their values are right", found.source.name, f"{records:,}")
    return {"source": found.source.name, "records": records, "notes": found.judgement.notes, "text_differs": bool(texts)}


def judge_regular_sync(warehouse: Warehouse, census: "CensusHook") -> RegularSync:
    """
    Look at the settings of the regular sync, run its query in the warehouse, and compare each value with ours. It only reads.

    :raises UnjudgedError: it is unknown what the sync would write. The text has what is wrong with its settings too.
    :raises ConnectError: the warehouse cannot be reached.
    """
    settings = warehouse.settings
    sync = census.get_sync(settings.census_property_sync_id)
    problems = regular_sync_problems(sync, settings.census_dataset_id, settings.source_query, settings.salesforce_object)
    problems += regular_mapping_problems(sync, settings)
    try:
        source = read_source(census, sync)
        found = judge(warehouse, sync, source)
    except UnjudgedError as error:
        raise UnjudgedError("\n".join([str(error), *problems])) from error
    if wrong := found.wrong:
        head = f"{source.name} would write wrong values to Salesforce through Census sync {sync.id} ({sync.label}):"
        problems = [head, *(f"- {each}" for each in wrong), *problems]
    return RegularSync(sync, source, found, tuple(problems))


def plan_deployment() -> Deployment:
    """
    Compare what Census runs with the repository, and try the new query in the warehouse.

    :raises DeployError: something else is wrong with the sync, which a person has to correct in Census first, or the new query
        yields wrong values.
    """
    settings = load_settings()
    with Warehouse(settings) as warehouse:
        live = _look(settings, warehouse)
        _refuse_other_problems(live)
        question = None
        if live.difference or live.mapping_problems:
            parts = [f"Change {live.dataset_name}, which feeds sync {live.sync.id} ({live.sync.label})?"]
            if live.difference:
                parts.append(f"Its query becomes {live.becomes}:\n\n```diff\n{live.difference}\n```")
            if live.mapping_problems:
                listed = "\n".join(f"- {each}" for each in live.mapping_problems)
                parts.append(f"These mappings are corrected; all others stay as they are:\n\n{listed}")
            parts.append(_tried(_try(warehouse, live)))
            parts.append(
                f"**Approve**: the changes above are made in Census. Sync {live.sync.id} sends by them from its next run on."
            )
            parts.append("**Reject**: nothing is changed, and the run fails.")
            question = "\n\n".join(parts)
    log.info("%s", question or f"{live.dataset_name} and sync {live.sync.id} are as they should be")
    return Deployment(question, live.query_digest, live.mappings_digest)


def deploy_query(approved: Deployment) -> dict[str, Any]:
    """
    Give the dataset the query of the repository, and read it back. The query is tried in the warehouse before.

    :returns: whether it was changed. An earlier try may have done that already.
    :raises DeployError: one of the two queries was changed after the approval, the new one yields wrong values, or Census has
        another query afterwards.
    """
    from feature_sync.deployment.source_query import query_difference  # noqa: PLC0415 - slow

    settings = load_settings()
    with Warehouse(settings) as warehouse:
        live = _look(settings, warehouse)
        _refuse_other_problems(live)
        if live.difference is None:
            log.info("%s has that query already", live.dataset_name)
            return {"changed": False}
        if approved.query != live.query_digest:
            raise DeployError(
                f"Nothing was changed. The query of {live.dataset_name}, or the one of the repository, has changed since it was "
                "shown and approved. Start a new run."
            )
        _try(warehouse, live)
        census_hook().patch_dataset(settings.census_dataset_id, {"query": live.wanted})
        after = _look(settings, warehouse)
    if after.difference:
        raise DeployError(f"Census accepted the query, but {after.dataset_name} now has another one:\n{after.difference}")
    read_by_sync = after.sync.source.query
    if read_by_sync and (difference := query_difference(read_by_sync, after.wanted)):
        raise DeployError(f"{after.dataset_name} has the query, but sync {after.sync.id} reads another one:\n{difference}")
    log.info("%s has the query %s now", after.dataset_name, settings.source_query)
    return {"changed": True}


def deploy_mappings(approved: Deployment) -> dict[str, Any]:
    """
    Make the sync map every field of the field table, and read it back.

    All mappings are sent, because Census replaces nested attributes whole ("update a sync"). Those of other fields stay as
    they are.

    :returns: whether they were changed.
    :raises DeployError: the mappings were changed after the approval, or one is still wrong afterwards.
    """
    settings = load_settings()
    with Warehouse(settings) as warehouse:
        live = _look(settings, warehouse)
    _refuse_other_problems(live)
    if not live.mapping_problems:
        log.info("Sync %s maps every field", live.sync.id)
        return {"changed": False}
    if approved.mappings != live.mappings_digest:
        raise DeployError(
            f"The mappings were not changed. Those of sync {live.sync.id} have changed since they were shown and approved. "
            "Start a new run."
        )
    census_hook().patch_sync(live.sync.id, {"mappings": corrected_mappings(live.sync, settings.fields)})
    after = regular_mapping_problems(census_hook().get_sync(live.sync.id), settings)
    if after:
        raise DeployError("\n".join(["Census accepted the mappings, but:", *after]))
    log.info("Sync %s maps every field now; corrected: %s", live.sync.id, " ".join(live.mapping_problems))
    return {"changed": True}


def _look(settings: Settings, warehouse: Warehouse) -> CensusState:
    from feature_sync.deployment.source_query import query_difference, wanted_query  # noqa: PLC0415 - slow

    if not settings.census_dataset_id:
        raise DeployError(
            "Nothing was changed: CENSUS_DATASET_ID is 0, so the regular sync reads a table or a view and there is no dataset to "
            "deploy to. Correct that table or view where it is made."
        )
    hook = census_hook()
    dataset = hook.get_dataset(settings.census_dataset_id)
    sync = hook.get_sync(settings.census_property_sync_id)
    problems = regular_sync_problems(sync, dataset.id, settings.source_query, settings.salesforce_object)
    try:
        wanted, columns, keeps_others = _wanted(warehouse, sync, dataset.query)
        problems += unknown_column_problems(sync, settings.source_query, columns, settings.fields)
    except (UnusableQueryError, UnjudgedError) as error:
        wanted, keeps_others = wanted_query(settings), False
        problems.append(
            f"Census sync {sync.id} maps other columns too, so its query must stay a part of the new one, but the query of "
            f"Census dataset {dataset.id} {error}."
        )
    return CensusState(
        dataset=dataset,
        sync=sync,
        wanted=wanted,
        keeps_others=keeps_others,
        difference=query_difference(dataset.query, wanted),
        mapping_problems=regular_mapping_problems(sync, settings),
        other_problems=problems,
    )


def _wanted(warehouse: Warehouse, sync: Sync, live: str) -> tuple[str, set[str], bool]:
    """
    The query that the dataset must have, its columns in lower case, and whether it keeps the query that Census has.

    It does if the sync maps a column that the query of the repository lacks.

    :raises UnusableQueryError: that query cannot be kept. :raises UnjudgedError: it fails in the warehouse.
    """
    from feature_sync.deployment.source_query import query_before_ours, selected_columns, wanted_query, wanted_query_beside  # noqa: PLC0415 - slow

    settings = warehouse.settings
    plain = wanted_query(settings)
    columns = selected_columns(plain)
    lacking = [each for each in other_mappings(sync, settings.fields) if str(each.column).lower() not in columns]
    key = property_column(sync, settings.fields)
    if settings.source_query is not SourceQuery.PROPERTY_SYNC or not lacking or key is None:
        return plain, columns, False
    before = query_before_ours(live)
    try:
        names = source_columns(warehouse, before)
    except ConnectError:
        raise
    except StatementError as error:
        raise UnjudgedError(f"fails in the warehouse: {error}") from error
    by_name = {name.lower(): name for name in names}
    if key.lower() not in by_name:
        raise UnusableQueryError(f"has no column {key}, which names the property")
    wanted = wanted_query_beside(settings, before, names, by_name[key.lower()])
    return wanted, {*by_name, *settings.fields.columns}, True


def _try(warehouse: Warehouse, live: CensusState) -> Judgement:
    """:raises DeployError: the new query, with the corrected mappings, yields wrong values, or it cannot be run."""
    settings = warehouse.settings
    sync = live.sync.with_mappings(corrected_mappings(live.sync, settings.fields))
    try:
        found = judge(warehouse, sync, RegularSource("the new query", live.wanted, live.dataset))
    except UnjudgedError as error:
        raise DeployError(f"Nothing was changed. The new query was tried in the warehouse first. {error}") from error
    if wrong := found.wrong_about(Concern.KEYS, Concern.COLUMNS, Concern.FEATURES):
        head = (
            f"Nothing was changed. The new query was tried in the warehouse and yields {found.records:,} rows with wrong values:"
        )
        raise DeployError("\n".join([head, *(f"- {each}" for each in wrong)]))
    return found


def _tried(found: Judgement) -> str:
    head = (
        f"The new query was tried in the warehouse: it yields {found.records:,} rows, one for each key, and all flags and dates "
        "are those of the feature table."
    )
    rest = [*found.wrong, *found.notes]
    if not rest:
        return head
    return "\n".join([f"{head} Look at this before you approve:", "", *(f"- {each}" for each in rest)])


def _text_differences(warehouse: Warehouse, sync: Sync, source: RegularSource) -> list[str]:
    """How the text of the query differs from the repository's, and what is behind the views that it reads. For information."""
    from feature_sync.deployment.parsed_query import parse_query  # noqa: PLC0415 - slow
    from feature_sync.deployment.source_query import query_difference, wanted_query  # noqa: PLC0415 - slow

    settings = warehouse.settings
    try:
        query = parse_query(source.query)
        wanted = _wanted(warehouse, sync, source.query)[0]
    except (UnusableQueryError, UnjudgedError):
        query, wanted = parse_query(source.query), wanted_query(settings)
    said = []
    if source.dataset and (difference := query_difference(source.query, wanted)):
        said.append(
            f"{source.name} has another text than include/sql/{settings.source_query.statement}.sql. That alone is no fault:\n"
            f"{difference}"
        )
    for name, text in views_behind(warehouse, query).items():
        if text is None:
            said.append(f"The text of {name} cannot be seen, so only its values were judged.")
        elif name == query.only_table and (difference := query_difference(text, wanted_query(settings))):
            said.append(f"{source.name} reads the view {name}, whose text differs from the repository's:\n{difference}")
        elif name != query.only_table:
            said.append(f"{source.name} reads the view {name}:\n{text}")
    return said


def _for_information(notes: list[str]) -> list[str]:
    return ["For information:", *(f"- {each}" for each in notes)] if notes else []


def cure_of_source(settings: Settings, source: RegularSource) -> str:
    """What a person does about wrong values of the regular sync."""
    if source.dataset is None or not settings.census_dataset_id:
        return f"Correct {source.name} where it is made, then clear this task."
    return (
        f"Correct the query or the view that it reads, or run {DEPLOY_DAG_ID}: it shows the difference, asks, and corrects the "
        "query and the mappings of the field table."
    )


def _refuse_other_problems(live: CensusState) -> None:
    if live.other_problems:
        raise DeployError("\n".join(["Nothing was changed, because:", *(f"- {each}" for each in live.other_problems)]))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
