"""Brings the corrected source query to Census: compare, let a person approve, patch, read back."""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from feature_sync.census.hook import CensusHook
from feature_sync.census.models import Dataset, Sync
from feature_sync.config.names import DEPLOY_DAG_ID
from feature_sync.config.settings import Settings, load_settings
from feature_sync.deployment.regular_sync import corrected_mappings, regular_mapping_problems, regular_sync_problems
from feature_sync.deployment.source_query import query_difference, wanted_query

log = logging.getLogger(__name__)


class SourceQueryError(RuntimeError):
    """Census runs another query than the repository's. The message has the difference."""


class DeployError(RuntimeError):
    """The source query, or the mappings, could not be brought to Census as approved."""


@dataclass(frozen=True, slots=True)
class CensusState:
    """What Census has now, and what is wrong with it."""

    dataset: Dataset
    sync: Sync
    wanted: str
    difference: str | None
    mapping_problems: list[str]
    other_problems: list[str]

    @property
    def dataset_name(self) -> str:
        """What messages call the dataset."""
        return f"Census dataset {self.dataset.id} ({self.dataset.name})"

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


def check_source_query() -> dict[str, Any]:
    """
    Check that the regular sync runs the query of the repository, and maps every feature field.

    :raises SourceQueryError: it does not.
    """
    settings = load_settings()
    live = _look(settings)
    problems = [*live.other_problems, *live.mapping_problems]
    if live.difference:
        problems.insert(0, f"{live.dataset_name} has another query than include/sql/{settings.source_query.statement}.sql:")
    if problems:
        cure = f"Run {DEPLOY_DAG_ID}: it shows the difference, asks, and corrects the query and the mappings."
        raise SourceQueryError("\n".join([*problems[:1], live.difference or "", *problems[1:], cure]))
    log.info("%s has the query %s, and sync %s maps every field", live.dataset_name, settings.source_query, live.sync.id)
    return {"dataset_id": live.dataset.id, "source_query": settings.source_query.value}


def plan_deployment() -> Deployment:
    """
    Compare what Census runs with the repository.

    :raises DeployError: something else is wrong with the sync, which a person has to correct in Census first.
    """
    settings = load_settings()
    live = _look(settings)
    _refuse_other_problems(live)
    question = None
    if live.difference or live.mapping_problems:
        parts = [f"Change {live.dataset_name}, which feeds sync {live.sync.id} ({live.sync.label})?"]
        if live.difference:
            parts.append(
                f"Its query becomes include/sql/{settings.source_query.statement}.sql:\n\n```diff\n{live.difference}\n```"
            )
        if live.mapping_problems:
            listed = "\n".join(f"- {each}" for each in live.mapping_problems)
            parts.append(f"These mappings are corrected; all others stay as they are:\n\n{listed}")
        question = "\n\n".join(parts)
    log.info("%s", question or f"{live.dataset_name} and sync {live.sync.id} are as they should be")
    return Deployment(question, live.query_digest, live.mappings_digest)


def deploy_query(approved: Deployment) -> dict[str, Any]:
    """
    Give the dataset the query of the repository, and read it back.

    :returns: whether it was changed. An earlier try may have done that already.
    :raises DeployError: one of the two queries was changed after the approval, or Census has another query afterwards.
    """
    settings = load_settings()
    live = _look(settings)
    _refuse_other_problems(live)
    if live.difference is None:
        log.info("%s has that query already", live.dataset_name)
        return {"changed": False}
    if approved.query != live.query_digest:
        raise DeployError(
            f"Nothing was changed. The query of {live.dataset_name}, or the one of the repository, has changed since it was "
            "shown and approved. Start a new run."
        )
    hook = CensusHook()
    hook.patch_dataset(settings.census_dataset_id, {"query": live.wanted})
    after = _look(settings)
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
    live = _look(settings)
    _refuse_other_problems(live)
    if not live.mapping_problems:
        log.info("Sync %s maps every field", live.sync.id)
        return {"changed": False}
    if approved.mappings != live.mappings_digest:
        raise DeployError(
            f"The mappings were not changed. Those of sync {live.sync.id} have changed since they were shown and approved. "
            "Start a new run."
        )
    CensusHook().patch_sync(live.sync.id, {"mappings": corrected_mappings(live.sync, settings.fields)})
    after = _look(settings)
    if after.mapping_problems:
        raise DeployError("\n".join(["Census accepted the mappings, but:", *after.mapping_problems]))
    log.info("Sync %s maps every field now; corrected: %s", after.sync.id, " ".join(live.mapping_problems))
    return {"changed": True}


def _look(settings: Settings) -> CensusState:
    hook = CensusHook()
    dataset = hook.get_dataset(settings.census_dataset_id)
    sync = hook.get_sync(settings.census_property_sync_id)
    wanted = wanted_query(settings)
    return CensusState(
        dataset=dataset,
        sync=sync,
        wanted=wanted,
        difference=query_difference(dataset.query, wanted),
        mapping_problems=regular_mapping_problems(sync, settings.fields),
        other_problems=regular_sync_problems(sync, dataset.id, settings.source_query, wanted, settings.salesforce_object),
    )


def _refuse_other_problems(live: CensusState) -> None:
    if live.other_problems:
        raise DeployError("\n".join(["Nothing was changed, because:", *(f"- {each}" for each in live.other_problems)]))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
