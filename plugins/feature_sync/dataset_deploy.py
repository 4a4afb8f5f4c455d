"""The corrected source query, brought to Census: compared, approved by a person, patched, and read back."""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from feature_sync.census.hook import CensusHook
from feature_sync.census.models import Dataset, Sync
from feature_sync.settings import DEPLOY_DAG_ID, Settings, load_settings
from feature_sync.source_query import corrected_mappings, query_difference, regular_mapping_problems, sync_problems
from feature_sync.warehouse import render_statement

log = logging.getLogger(__name__)


class SourceQueryError(RuntimeError):
    """What Census runs is not what the repository says. The message has the difference."""


class DeployError(RuntimeError):
    """The source query, or the mappings, could not be brought to Census as approved."""


@dataclass(frozen=True, slots=True)
class Live:
    """What Census has now, and what is wrong with it."""

    dataset: Dataset
    sync: Sync
    wanted: str
    difference: str | None
    mapping_problems: list[str]
    other_problems: list[str]


def wanted_query(settings: Settings) -> str:
    """The query of ``include/sql`` that the dataset must have, for these table names and fields."""
    return render_statement(f"select_{settings.source_query}", settings)


def check_source_query() -> dict[str, Any]:
    """
    Make sure that the regular sync runs the query of the repository, and maps every feature field.

    :raises SourceQueryError: it does not.
    """
    settings = load_settings()
    live = _look(settings)
    problems = [*live.other_problems, *live.mapping_problems]
    if live.difference:
        problems.insert(0, f"{_of(live.dataset)} has another query than include/sql/select_{settings.source_query}.sql:")
    if problems:
        cure = f"Run {DEPLOY_DAG_ID}, which shows this, asks, and corrects the query and the mappings."
        raise SourceQueryError("\n".join([*problems[:1], live.difference or "", *problems[1:], cure]))
    log.info("%s has the query select_%s, and sync %s maps every field", _of(live.dataset), settings.source_query, live.sync.id)
    return {"dataset_id": live.dataset.id, "source_query": settings.source_query.value}


def plan_deployment() -> dict[str, Any]:
    """
    Compare what Census runs with the repository.

    :returns: ``question``: what a person has to approve, or nothing when all is as it should be; ``approved``: digests of the
        queries and the mappings that the question is about.
    :raises DeployError: something else is wrong with the sync, which a person has to correct in Census first.
    """
    settings = load_settings()
    live = _look(settings)
    _refuse_other_problems(live)
    question = None
    if live.difference or live.mapping_problems:
        parts = [f"Change {_of(live.dataset)}, which feeds sync {live.sync.id} ({live.sync.label})?"]
        if live.difference:
            parts.append(f"Its query becomes include/sql/select_{settings.source_query}.sql:\n\n```diff\n{live.difference}\n```")
        if live.mapping_problems:
            listed = "\n".join(f"- {each}" for each in live.mapping_problems)
            parts.append(f"The mappings are corrected, all others stay:\n\n{listed}")
        question = "\n\n".join(parts)
    log.info("%s", question or f"{_of(live.dataset)} and sync {live.sync.id} are as they should be")
    approved = {"query": _digest_of_query(live), "mappings": _digest_of_mappings(live)}
    return {"question": question, "approved": approved}


def deploy_query(approved: Mapping[str, str]) -> dict[str, Any]:
    """
    Give the dataset the query of the repository, and read it back.

    :param approved: from `plan_deployment`.
    :returns: whether it was changed; a try before this one may have done that.
    :raises DeployError: one of the queries is not the approved one any more, or Census has another one afterwards.
    """
    settings = load_settings()
    live = _look(settings)
    _refuse_other_problems(live)
    if live.difference is None:
        log.info("%s has that query", _of(live.dataset))
        return {"changed": False}
    if approved["query"] != _digest_of_query(live):
        raise DeployError(
            f"Nothing was changed: the query of {_of(live.dataset)}, or of the repository, is not the one that was shown and "
            "approved any more. Start a new run."
        )
    hook = CensusHook()
    hook.patch_dataset(settings.census_dataset_id, {"query": live.wanted})
    after = _look(settings)
    if after.difference:
        raise DeployError(f"Census took the query, but {_of(after.dataset)} now has another one:\n{after.difference}")
    read_by_sync = after.sync.source.query
    if read_by_sync and (difference := query_difference(read_by_sync, after.wanted)):
        raise DeployError(f"{_of(after.dataset)} has the query, but sync {after.sync.id} reads another one:\n{difference}")
    log.info("%s has the query select_%s now", _of(after.dataset), settings.source_query)
    return {"changed": True}


def deploy_mappings(approved: Mapping[str, str]) -> dict[str, Any]:
    """
    Make the sync map every field of the field table, and read it back.

    The mappings go whole, because Census replaces nested attributes ("update a sync"); those of other fields stay as they are.

    :param approved: from `plan_deployment`.
    :returns: whether they were changed.
    :raises DeployError: the mappings are not those that were shown any more, or one is still wrong afterwards.
    """
    settings = load_settings()
    live = _look(settings)
    _refuse_other_problems(live)
    if not live.mapping_problems:
        log.info("Sync %s maps every field", live.sync.id)
        return {"changed": False}
    if approved["mappings"] != _digest_of_mappings(live):
        raise DeployError(
            f"The mappings were not changed: those of sync {live.sync.id} are not the ones that were shown and approved any "
            "more. Start a new run."
        )
    CensusHook().patch_sync(live.sync.id, {"mappings": corrected_mappings(live.sync, settings.fields)})
    after = _look(settings)
    if after.mapping_problems:
        raise DeployError("\n".join(["Census took the mappings, but:", *after.mapping_problems]))
    log.info("Sync %s maps every field now; corrected: %s", after.sync.id, " ".join(live.mapping_problems))
    return {"changed": True}


def _look(settings: Settings) -> Live:
    hook = CensusHook()
    dataset = hook.get_dataset(settings.census_dataset_id)
    sync = hook.get_sync(settings.census_property_sync_id)
    wanted = wanted_query(settings)
    return Live(
        dataset=dataset,
        sync=sync,
        wanted=wanted,
        difference=query_difference(dataset.query, wanted),
        mapping_problems=regular_mapping_problems(sync, settings.fields),
        other_problems=sync_problems(sync, dataset.id, settings.source_query, wanted, settings.salesforce_object),
    )


def _refuse_other_problems(live: Live) -> None:
    if live.other_problems:
        raise DeployError("\n".join(["Nothing was changed, because:", *(f"- {each}" for each in live.other_problems)]))


def _digest_of_query(live: Live) -> str:
    return _digest(live.dataset.query + "\0" + live.wanted)


def _digest_of_mappings(live: Live) -> str:
    return _digest(json.dumps([mapping.attributes for mapping in live.sync.mappings], sort_keys=True))


def _of(dataset: Dataset) -> str:
    return f"Census dataset {dataset.id} ({dataset.name})"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
