"""What a person may ask of a run: the run config, checked whole before anything happens.

Airflow's form checks types and limits too, but it lets unknown keys through and knows nothing of what belongs together.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any, TypeVar

MAX_BATCH_SIZE = 200
"""Salesforce's Bulk API runs each chunk of 200 records as a transaction of its own, so a larger batch is never one batch."""
MAX_WAIT_SECONDS = 3600
MAX_CONSECUTIVE_FAILURES = 1000
MAX_PROPERTY_IDS = 10_000
MAX_RUN_ID = 250
"""Characters of a run id: Airflow's own limit."""
MAX_NAMES_SHOWN = 3
MAX_SHOWN = 80
"""Characters of a wrong value that a message repeats."""

DEFAULTS: Mapping[str, Any] = {
    "strategy": "batched",
    "scope": "mismatched",
    "created_from": None,
    "created_to": None,
    "property_ids": [],
    "batch_size": 50,
    "wait_seconds": 150,
    "on_batch_failure": "continue",
    "max_consecutive_failures": 3,
    "unmatched": "send_false",
    "allow_mass_disable": False,
    "dry_run": False,
    "undo_run_id": None,
}


Choice = TypeVar("Choice", bound=StrEnum)


class Strategy(StrEnum):
    """How the records are cut into batches."""

    BATCHED = "batched"
    FULL = "full"
    PROBE = "probe"


class Scope(StrEnum):
    """Which Salesforce records a run covers."""

    CREATED_BETWEEN = "created_between"
    MISMATCHED = "mismatched"
    PROPERTY_IDS = "property_ids"
    ALL = "all"


class Unmatched(StrEnum):
    """What becomes of properties without a feature row."""

    SEND_FALSE = "send_false"
    SKIP = "skip"


class OnBatchFailure(StrEnum):
    """What a failed batch does to the later ones."""

    CONTINUE = "continue"
    STOP = "stop"


class RunConfigError(ValueError):
    """The run config is not usable. ``problems`` has one sentence for each thing that is wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("The run config is refused, nothing was written:\n" + "\n".join(f"- {problem}" for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class RunConfig:
    """
    A checked run config. ``created_from`` and ``created_to`` are UTC days, both inclusive.

    ``undo_run_id``: the run whose effect is taken back; then the records are that run's and ``scope`` says nothing.
    """

    strategy: Strategy
    scope: Scope
    created_from: date | None
    created_to: date | None
    property_ids: tuple[str, ...]
    batch_size: int
    wait_seconds: int
    on_batch_failure: OnBatchFailure
    max_consecutive_failures: int
    unmatched: Unmatched
    allow_mass_disable: bool
    dry_run: bool
    undo_run_id: str | None

    @property
    def skips_unmatched(self) -> bool:
        return self.unmatched is Unmatched.SKIP

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


def parse_run_config(conf: Mapping[str, Any]) -> RunConfig:
    """
    Check a run config; keys left out take their default.

    :param conf: the params of a DAG run.
    :raises RunConfigError: naming every parameter that is wrong, the value found and what is allowed.
    """
    problems = _unknown_names([key for key in conf if key not in DEFAULTS])
    values = {**DEFAULTS, **conf}

    strategy = _choice(values, "strategy", Strategy, problems)
    scope = _choice(values, "scope", Scope, problems)
    unmatched = _choice(values, "unmatched", Unmatched, problems)
    created_from = _day(values, "created_from", problems)
    created_to = _day(values, "created_to", problems)
    property_ids = _ids(values, problems)
    batch_size = _whole_number(values, "batch_size", 1, MAX_BATCH_SIZE, problems)
    wait_seconds = _whole_number(values, "wait_seconds", 0, MAX_WAIT_SECONDS, problems)
    on_batch_failure = _choice(values, "on_batch_failure", OnBatchFailure, problems)
    max_failures = _whole_number(values, "max_consecutive_failures", 1, MAX_CONSECUTIVE_FAILURES, problems)
    allow_mass_disable = _switch(values, "allow_mass_disable", problems)
    dry_run = _switch(values, "dry_run", problems)
    undo_run_id = _run_id(values, problems)

    if scope is Scope.CREATED_BETWEEN:
        for key in ("created_from", "created_to"):
            if values[key] is None:
                problems.append(f"{key} is empty; scope created_between needs both days.")
    if created_from and created_to and created_from > created_to:
        problems.append(f"created_from {created_from} is after created_to {created_to}.")
    if scope is Scope.PROPERTY_IDS and not values["property_ids"]:
        problems.append("property_ids is empty; scope property_ids needs at least one id.")
    for key, owner in (
        ("created_from", Scope.CREATED_BETWEEN),
        ("created_to", Scope.CREATED_BETWEEN),
        ("property_ids", Scope.PROPERTY_IDS),
    ):
        if scope is not None and values[key] and scope is not owner:
            problems.append(f"{key} is set, but scope is {scope}; leave it empty or choose scope {owner}.")
    if undo_run_id is not None:
        problems += [
            f"{key} is {_shown(values[key])}, but undo_run_id is set, which says by itself what is sent; leave {key} at "
            f"{DEFAULTS[key]!r}."
            for key in ("scope", "unmatched")
            if values[key] != DEFAULTS[key]
        ]

    if problems or strategy is None or scope is None or unmatched is None or on_batch_failure is None:
        raise RunConfigError(problems)
    return RunConfig(
        strategy=strategy,
        scope=scope,
        created_from=created_from,
        created_to=created_to,
        property_ids=property_ids,
        batch_size=batch_size,
        wait_seconds=wait_seconds,
        on_batch_failure=on_batch_failure,
        max_consecutive_failures=max_failures,
        unmatched=unmatched,
        allow_mass_disable=allow_mass_disable,
        dry_run=dry_run,
        undo_run_id=undo_run_id,
    )


def count_batches(records: int, batch_size: int) -> int:
    """How many batches of at most ``batch_size`` hold ``records``."""
    return math.ceil(records / batch_size)


def estimate_seconds(batches: int, wait_seconds: int, seconds_per_batch: int = 45) -> int:
    """
    How long sending takes, in seconds.

    A Census run of 50 records from Databricks to Salesforce was seen to take 36 and 50 seconds.
    """
    return batches * seconds_per_batch + max(0, batches - 1) * wait_seconds


def check_size(config: RunConfig, records: int, max_batches: int) -> None:
    """
    Refuse a run that has nothing to do or more batches than Airflow can map.

    :param records: how many Salesforce records are in scope.
    :param max_batches: Airflow's ``[core] max_map_length``.
    :raises RunConfigError: saying how many there are, how long it would take and what to change.
    """
    if records == 0:
        raise RunConfigError([f"No record is in scope: {config.description}. There is nothing to send."])
    if config.strategy is Strategy.FULL:
        return
    batches = count_batches(records, config.batch_size)
    if batches > max_batches:
        hours = estimate_seconds(batches, config.wait_seconds) / 3600
        raise RunConfigError(
            [
                f"{records:,} records in batches of {config.batch_size} are {batches:,} batches, about {hours:,.0f} hours; "
                f"Airflow maps at most {max_batches:,} ([core] max_map_length). "
                f"Narrow the scope, or raise batch_size to {math.ceil(records / max_batches)} or more if the Flow allows it, "
                "or raise max_map_length."
            ]
        )


def _unknown_names(names: list[str]) -> list[str]:
    if not names:
        return []
    shown = ", ".join(_shown(name) for name in names[:MAX_NAMES_SHOWN])
    others = f" and {len(names) - MAX_NAMES_SHOWN:,} others" if len(names) > MAX_NAMES_SHOWN else ""
    are_none = "are not parameters" if len(names) > 1 else "is not a parameter"
    return [f"{shown}{others} {are_none}; known are {', '.join(DEFAULTS)}."]


def _choice(values: Mapping[str, Any], key: str, choices: type[Choice], problems: list[str]) -> Choice | None:
    try:
        return choices(values[key])
    except ValueError:
        problems.append(f"{key} is {_shown(values[key])}; allowed are {', '.join(choices)}.")
        return None


def _day(values: Mapping[str, Any], key: str, problems: list[str]) -> date | None:
    value = values[key]
    if value is None:
        return None
    # date.fromisoformat also takes 20251121 and 2025-W47-5, and \d any Unicode digit; only the form's own format passes.
    if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    problems.append(f"{key} is {_shown(value)}; allowed is a day such as 2025-11-21, or nothing.")
    return None


def _ids(values: Mapping[str, Any], problems: list[str]) -> tuple[str, ...]:
    value = values["property_ids"]
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        problems.append(f"property_ids is {_shown(value)}; allowed is a list of strings.")
        return ()
    if len(value) > MAX_PROPERTY_IDS:
        problems.append(f"property_ids has {len(value):,} entries; allowed are {MAX_PROPERTY_IDS:,}. Use another scope.")
        return ()
    ids = tuple(dict.fromkeys(item.strip() for item in value))
    if wrong := [item for item in ids if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", item)]:
        problems.append(f"property_ids has {_shown(wrong[0])}; an id is 1 to 64 letters, digits, '-' or '_'.")
    return ids


def _whole_number(values: Mapping[str, Any], key: str, low: int, high: int, problems: list[str]) -> int:
    value = values[key]
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        problems.append(f"{key} is {_shown(value)}; allowed is a whole number from {low} to {high}.")
        return low
    return value


def _switch(values: Mapping[str, Any], key: str, problems: list[str]) -> bool:
    value = values[key]
    if not isinstance(value, bool):
        problems.append(f"{key} is {_shown(value)}; allowed are true and false.")
        return False
    return value


def _run_id(values: Mapping[str, Any], problems: list[str]) -> str | None:
    value = values["undo_run_id"]
    if value is None or value == "":
        return None
    # Airflow's [scheduler] allowed_run_id_pattern.
    if not isinstance(value, str) or not re.fullmatch(rf"[A-Za-z0-9_.~:+-]{{1,{MAX_RUN_ID}}}", value):
        problems.append(
            f"undo_run_id is {_shown(value)}; allowed is the id of a run, 1 to {MAX_RUN_ID} letters, digits and _ . ~ : + -, "
            "or nothing."
        )
        return None
    return value


def _shown(value: Any) -> str:
    # What a person has typed may be shown on a page: nothing in it must be markup or look like another letter.
    text = ascii(value).replace("<", "\\x3c").replace(">", "\\x3e")
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
