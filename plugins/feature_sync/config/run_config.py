"""What a person may ask of a run of ``product_feature_backfill``.

`RunConfig` is the one place for a parameter: its default, limits, title, section and description. The trigger form
(`feature_sync.backfill.trigger_form`), the parser below and ``docs/reference.md`` derive from it.

Airflow's form checks types and limits too, but it accepts unknown keys and cannot check that parameters fit together.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import date
from enum import StrEnum
from typing import Annotated, Any

from annotated_types import Ge, Le
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from feature_sync.config.problems import RunConfigError

MAX_BATCH_SIZE = 200
"""Salesforce's Bulk API runs each chunk of 200 records in its own transaction, so a larger batch would never be one batch."""
MAX_WAIT_SECONDS = 3600
MAX_CONSECUTIVE_FAILURES = 1000
MAX_PROPERTY_IDS = 10_000
MAX_RUN_ID = 250
"""Characters of a run id; Airflow's own limit."""
PROPERTY_ID = r"[A-Za-z0-9_-]{1,64}"
"""What the id of a property looks like."""
NEVER_STORED = "[\0\ud800-\udfff]"
"""Characters that no database keeps in a text."""
MAX_NAMES_SHOWN = 3
MAX_SHOWN = 80
"""Characters of a wrong value that a message repeats."""
NEAREST = "Airflow's form turns another number into the nearest of these, without a word."
SENTENCE = "sentence"
"""Type of a validation error whose text is already a whole sentence."""


class Strategy(StrEnum):
    """How the records are cut into batches."""

    BATCHED = "batched"
    FULL = "full"
    PROBE = "probe"
    PILOT = "pilot"


class Scope(StrEnum):
    """Which Salesforce records a run covers."""

    CREATED_BETWEEN = "created_between"
    MISMATCHED = "mismatched"
    PROPERTY_IDS = "property_ids"
    ALL = "all"


class Unmatched(StrEnum):
    """What happens to properties without a feature row."""

    SEND_FALSE = "send_false"
    SKIP = "skip"


class OnBatchFailure(StrEnum):
    """What a failed batch does to the batches after it."""

    CONTINUE = "continue"
    STOP = "stop"


def _iso_day(value: Any) -> date | None:
    if value is None or type(value) is date:
        return value
    # date.fromisoformat also takes 20251121 and 2025-W47-5, and \d takes any Unicode digit. Only the form's format passes.
    if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise _problem(f"{{name}} is {show(value)}; allowed is a day such as 2025-11-21, or nothing.")


def _property_ids(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise _problem(f"{{name}} is {show(value)}; allowed is a list of strings.")
    if len(value) > MAX_PROPERTY_IDS:
        raise _problem(f"{{name}} has {len(value):,} entries; allowed are {MAX_PROPERTY_IDS:,}. Use another scope.")
    ids = tuple(dict.fromkeys(item.strip() for item in value))
    if wrong := [item for item in ids if not re.fullmatch(PROPERTY_ID, item)]:
        raise _problem(f"{{name}} has {show(wrong[0])}; an id is 1 to 64 letters, digits, '-' or '_'.")
    return ids


def _run_id(value: Any) -> str | None:
    if value is None or value == "":
        return None
    # Each site allows its own ids ([scheduler] allowed_run_id_pattern). Whether there is such a run, the payload says.
    if not isinstance(value, str) or len(value) > MAX_RUN_ID or re.search(NEVER_STORED, value):
        raise _problem(f"{{name}} is {show(value)}; allowed is the id of a run, at most {MAX_RUN_ID} characters, or nothing.")
    return value


def _problem(sentence: str) -> PydanticCustomError:
    """:param sentence: with ``{name}`` where the parameter's name belongs."""
    return PydanticCustomError(SENTENCE, "{sentence}", {"sentence": sentence})


Day = Annotated[date | None, BeforeValidator(_iso_day)]
PropertyIds = Annotated[tuple[str, ...], BeforeValidator(_property_ids)]
RunId = Annotated[str | None, BeforeValidator(_run_id)]


def _parameter(
    default: Any,
    *,
    title: str,
    description: str,
    section: str | None = None,
    labels: Mapping[StrEnum, str] | None = None,
    **limits: Any,
) -> Any:
    """
    A parameter of the run config.

    :param section: of the form. Airflow folds up a section; None: shown at once.
    :param labels: what the form shows for each choice. Airflow cuts longer ones than `MAX_LABEL`.
    """
    shown: dict[str, Any] = {"section": section, "labels": dict(labels or {})}
    return Field(default, title=title, description=description, json_schema_extra=shown, **limits)


OFFERED: Mapping[str, Any] = {"dry_run": True}
"""
What the form proposes, where that is more careful than what the steps do without it.

Airflow fills it in for a run that does not say, whether a form, the REST API or the command line starts it. So a run sends
records only if somebody has asked for that.
"""
MAX_LABEL = 60
"""Characters of a choice that Airflow's form shows."""
PACE = "Pace and strategy"
FAILURE = "When a batch fails"
UNDO = "Undo"
SPECIAL = "Special cases"


class RunConfig(BaseModel):
    """A checked run config. Days are UTC and both inclusive."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    scope: Scope = _parameter(
        Scope.MISMATCHED,
        title="Scope",
        strict=False,
        description="Which Salesforce records are sent again.",
        labels={
            Scope.MISMATCHED: "mismatched: records that differ from the warehouse",
            Scope.CREATED_BETWEEN: "created_between: records created between two days",
            Scope.PROPERTY_IDS: "property_ids: the properties listed below",
            Scope.ALL: "all: every record",
        },
    )
    created_from: Day = _parameter(None, title="Created from", description="First day, in UTC. Only for scope created_between.")
    created_to: Day = _parameter(
        None,
        title="Created to",
        description="Last day, in UTC, inclusive, not before Created from. Only for scope created_between.",
    )
    property_ids: PropertyIds = _parameter(
        (),
        title="Property ids",
        description=f"Ids as in snappt_property_id_c, one per line, at most {MAX_PROPERTY_IDS:,}. Only for scope property_ids.",
    )
    dry_run: bool = _parameter(
        False,
        title="Dry run",
        description="On: the run stops after the plan and shows what would change in Salesforce. Nothing is sent. Off: the "
        "records are sent. A run that does not say is a dry run.",
    )
    strategy: Strategy = _parameter(
        Strategy.BATCHED,
        title="Strategy",
        section=PACE,
        strict=False,
        description="How the records are sent. batched is safe while the rollup Flow is on. full asks an admin to switch the "
        "Flow off first and on afterwards. probe tries batch_size records, then twice as many, then all the rest, and falls back "
        "to the last size that worked. pilot shows a person what became of batch_size records, then goes on as batched.",
        labels={
            Strategy.BATCHED: "batched: batch_size records at a time; the safe one",
            Strategy.FULL: "full: all at once; the rollup Flow must be off",
            Strategy.PROBE: "probe: larger and larger batches; finds the size that works",
            Strategy.PILOT: "pilot: one batch of every kind; a person decides on the rest",
        },
    )
    batch_size: int = _parameter(
        50,
        title="Batch size",
        section=PACE,
        ge=1,
        le=MAX_BATCH_SIZE,
        description=f"Records per batch, 1 to {MAX_BATCH_SIZE}. 50 is proven; with more, the rollup Flow failed. {NEAREST}",
    )
    wait_seconds: int = _parameter(
        150,
        title="Wait between batches",
        section=PACE,
        ge=0,
        le=MAX_WAIT_SECONDS,
        description="Minimum pause in seconds between the end of one Census run and the start of the next, "
        f"0 to {MAX_WAIT_SECONDS}. {NEAREST}",
    )
    on_batch_failure: OnBatchFailure = _parameter(
        OnBatchFailure.CONTINUE,
        title="When a batch fails",
        section=FAILURE,
        strict=False,
        description="What happens to the batches after a failed one. A batch that is held back fails and says why; clearing the "
        "failed tasks sends exactly the batches that failed or were held back.",
        labels={
            OnBatchFailure.CONTINUE: "continue: send the next batch",
            OnBatchFailure.STOP: "stop: hold back the remaining batches",
        },
    )
    max_consecutive_failures: int = _parameter(
        3,
        title="Failures in a row",
        section=FAILURE,
        ge=1,
        le=MAX_CONSECUTIVE_FAILURES,
        description="After this many failures in a row the remaining batches are held back, even with "
        f"on_batch_failure=continue. 1 to {MAX_CONSECUTIVE_FAILURES}. {NEAREST}",
    )
    undo_run_id: RunId = _parameter(
        None,
        title="Undo a run",
        section=UNDO,
        description="Id of an earlier run of this DAG. Its records get back the values they had before it, unless they were "
        "changed since. Leave scope and unmatched at their defaults.",
    )
    unmatched: Unmatched = _parameter(
        Unmatched.SEND_FALSE,
        title="Properties without a feature row",
        section=SPECIAL,
        strict=False,
        description="What happens to properties that the feature table does not know.",
        labels={
            Unmatched.SEND_FALSE: "send_false: they have no product; all flags become False",
            Unmatched.SKIP: "skip: leave them as they are",
        },
    )
    allow_mass_disable: bool = _parameter(
        False,
        title="Allow mass disable",
        section=SPECIAL,
        description="Let the run continue although it turns a product off for more records than the guard allows. A person still "
        "has to approve the numbers of each product before anything is sent.",
    )

    @property
    def skips_unmatched(self) -> bool:
        return self.unmatched is Unmatched.SKIP

    @property
    def purpose(self) -> str:
        """What the run is for. Its evidence says so."""
        return "undo" if self.undo_run_id is not None else "repair"

    @property
    def description(self) -> str:
        """The scope in words, for messages."""
        if self.undo_run_id is not None:
            return f"records that still hold what run {self.undo_run_id!r} sent"
        match self.scope:
            case Scope.CREATED_BETWEEN:
                return f"records created in Salesforce from {self.created_from} to {self.created_to} (UTC)"
            case Scope.PROPERTY_IDS:
                return f"the {len(self.property_ids)} records of property_ids"
            case Scope.MISMATCHED:
                return "records whose feature data differs from the warehouse"
            case Scope.ALL:
                return "all records in Salesforce"


PARAMETERS: Mapping[str, FieldInfo] = RunConfig.model_fields
DEFAULTS: Mapping[str, Any] = {**RunConfig().model_dump(mode="json"), **OFFERED}
"""Every parameter with what Airflow fills in for a run that does not say, as JSON has it."""


def parse_run_config(conf: Mapping[str, Any]) -> RunConfig:
    """
    Check a run config; keys left out take their default.

    :param conf: the params of a DAG run.
    :raises RunConfigError: naming every parameter that is wrong, its value and what is allowed.
    """
    wrong: dict[str, str] = {}
    try:
        config = RunConfig.model_validate(dict(conf))
    except ValidationError as invalid:
        errors = [error for error in invalid.errors(include_url=False) if error["type"] != "extra_forbidden"]
        wrong = {str(error["loc"][0]): _sentence(error) for error in errors}
        config = RunConfig.model_validate({name: conf[name] for name in conf if name in PARAMETERS and name not in wrong})
    problems = [*_unknown_names([name for name in conf if name not in PARAMETERS]), *wrong.values()]
    problems += [sentence for names, sentence in _contradictions(config) if wrong.keys().isdisjoint(names)]
    if problems:
        raise RunConfigError(problems)
    return config


def allowed_values(name: str) -> str:
    """What a parameter may be, in words: the end of the message that refuses a value."""
    parameter = PARAMETERS[name]
    kind = parameter.annotation
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return f"allowed are {', '.join(kind)}"
    if kind is bool:
        return "allowed are true and false"
    low, high = limits_of(parameter)
    return f"allowed is a whole number from {low} to {high}"


def limits_of(parameter: FieldInfo) -> tuple[int | None, int | None]:
    """The smallest and the largest value of a whole number; None where it has no limit."""
    low = next((limit.ge for limit in parameter.metadata if isinstance(limit, Ge)), None)
    high = next((limit.le for limit in parameter.metadata if isinstance(limit, Le)), None)
    return low, high  # type: ignore[return-value]  # annotated_types allows anything that can be compared


def _sentence(error: Any) -> str:
    name = str(error["loc"][0])
    if error["type"] == SENTENCE:
        return error["ctx"]["sentence"].replace("{name}", name, 1)
    return f"{name} is {show(error['input'])}; {allowed_values(name)}."


def _contradictions(config: RunConfig) -> Iterator[tuple[tuple[str, ...], str]]:
    """Parameters that do not fit together: their names, and the sentence that says so."""
    scope = config.scope
    days = {"created_from": config.created_from, "created_to": config.created_to}
    if scope is Scope.CREATED_BETWEEN:
        for name, day in days.items():
            if day is None:
                yield ("scope", name), f"{name} is empty; scope created_between needs both days."
    if config.created_from and config.created_to and config.created_from > config.created_to:
        yield tuple(days), f"created_from {config.created_from} is after created_to {config.created_to}."
    if scope is Scope.PROPERTY_IDS and not config.property_ids:
        yield ("scope", "property_ids"), "property_ids is empty; scope property_ids needs at least one id."
    owners = {**dict.fromkeys(days, Scope.CREATED_BETWEEN), "property_ids": Scope.PROPERTY_IDS}
    for name, owner in owners.items():
        if getattr(config, name) and scope is not owner:
            yield ("scope", name), f"{name} is set, but scope is {scope}; leave it empty or choose scope {owner}."
    if config.undo_run_id is not None:
        for name, value in {"scope": scope, "unmatched": config.unmatched}.items():
            if value != DEFAULTS[name]:
                yield (
                    ("undo_run_id", name),
                    f"{name} is {show(str(value))}, but undo_run_id is set, which says by itself what is sent; leave {name} at "
                    f"{DEFAULTS[name]!r}.",
                )


def _unknown_names(names: list[str]) -> list[str]:
    if not names:
        return []
    shown = ", ".join(show(name) for name in names[:MAX_NAMES_SHOWN])
    others = f" and {len(names) - MAX_NAMES_SHOWN:,} others" if len(names) > MAX_NAMES_SHOWN else ""
    are_none = "are not parameters" if len(names) > 1 else "is not a parameter"
    return [f"{shown}{others} {are_none}; known are {', '.join(PARAMETERS)}."]


def show(value: Any) -> str:
    """
    A value that a person has typed, shortened, without markup and without look-alike letters, because it may be shown on a
    page.
    """
    text = ascii(value).replace("<", "\\x3c").replace(">", "\\x3e")
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
