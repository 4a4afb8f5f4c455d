"""Faults that a test sets: the call that goes wrong, the way it does, and the number of times."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sandbox.state import State

ANSWER_FAULTS = frozenset({"lost_response", "refuse", "slow", "status", "not_json", "token_expired", "lacks"})
FAULTS: dict[str, frozenset[str]] = {
    # The Census API's calls
    "trigger": ANSWER_FAULTS,
    "fetch_run": ANSWER_FAULTS,
    "list_runs": ANSWER_FAULTS,
    "records": ANSWER_FAULTS,
    "cancel": ANSWER_FAULTS,
    "fetch_sync": ANSWER_FAULTS,
    "patch_sync": ANSWER_FAULTS,
    "list_syncs": ANSWER_FAULTS,
    "list_datasets": ANSWER_FAULTS,
    "fetch_dataset": ANSWER_FAULTS,
    "patch_dataset": ANSWER_FAULTS,
    "list_sources": ANSWER_FAULTS,
    "list_destinations": ANSWER_FAULTS,
    # Salesforce's REST API, and its transactions
    "salesforce": ANSWER_FAULTS,
    "transaction": frozenset({"lock_row", "limit_exceeded"}),
    "run": frozenset(
        {
            "canceled",
            "unknown_status",
            "null_counters",
            "reject_rows",
            "process_none",
            "source_count",
            "stuck",
            "silent_loss",
            "counters_disagree",
            "skipped",
            "failed",
            "records_lost",
        }
    ),
    "warehouse": frozenset({"fail", "slow", "refuse", "lost_response"}),
    "replication": frozenset({"stall"}),
}


class FaultError(ValueError):
    """The fault does not exist, does not exist for the call, or has unknown parameters."""


class Parameters(BaseModel):
    """The parameters of all faults. Each fault reads its own ones. README.md lists them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: Annotated[float, Field(ge=0, le=86_400)] = 1.0
    code: Annotated[int, Field(ge=400, le=599)] = 503
    retry_after: Annotated[int, Field(ge=0)] | None = None
    after_work: bool | None = None
    """If True, the work is done before the wrong answer. Default: True for ``not_json``, False for ``status``."""
    contains: str | None = None
    """``warehouse``: only statements that contain this text, in upper or lower case."""
    sync_id: int | None = None
    """``run``: only runs of this sync."""
    count: Annotated[int, Field(ge=0)] | None = None
    message: str | None = None
    key: str | None = None
    """``lacks``: the part of the answer that is missing."""
    status: str | None = None
    phase: str | None = None
    after_sending: bool = False
    error_code: str | None = None
    error_message: str | None = None
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    seed: int = 0


class Fault(BaseModel):
    """One fault as it was set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    call: str
    fault: str
    times: Annotated[int, Field(ge=1)] | None = None
    skip: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True, slots=True)
class Active:
    """A fault that applies to the current call."""

    id: int
    name: str
    parameters: Parameters


class Faults:
    """The faults in force. `take` counts the call in the state, so ``skip`` and ``times`` hold across a restart."""

    def __init__(self, state: State) -> None:
        self._state = state

    def set(self, body: Mapping[str, Any]) -> int:
        """:raises FaultError: the message names the allowed values."""
        own = {name: value for name, value in body.items() if name in Fault.model_fields}
        try:
            fault = Fault.model_validate(own)
            parameters = Parameters.model_validate({name: value for name, value in body.items() if name not in own})
        except ValidationError as invalid:
            error = invalid.errors(include_url=False)[0]
            raise FaultError(f"{'.'.join(map(str, error['loc']))}: {error['msg']}") from invalid
        if fault.call not in FAULTS:
            raise FaultError(f"call {fault.call!r} does not exist; the calls are {', '.join(FAULTS)}")
        if fault.fault not in FAULTS[fault.call]:
            raise FaultError(f"call {fault.call!r} has no fault {fault.fault!r}; it has {', '.join(sorted(FAULTS[fault.call]))}")
        with self._state.transaction() as tx:
            stored = parameters.model_dump_json(exclude_unset=True)
            cursor = tx.execute(
                "INSERT INTO fault (call, fault, times, skip, parameters) VALUES (?, ?, ?, ?, ?)",
                (fault.call, fault.fault, fault.times, fault.skip, stored),
            )
        return int(cursor.lastrowid or 0)

    def take(self, call: str, *, text: str = "", sync_id: int | None = None) -> list[Active]:
        """The faults that apply to this call, in the order they were set."""
        found = []
        with self._state.transaction() as tx:
            for row in tx.execute("SELECT * FROM fault WHERE call = ? ORDER BY id", (call,)).fetchall():
                parameters = Parameters.model_validate_json(row["parameters"])
                if parameters.contains is not None and parameters.contains.casefold() not in text.casefold():
                    continue
                if parameters.sync_id is not None and parameters.sync_id != sync_id:
                    continue
                applies = row["seen"] >= row["skip"] and (row["times"] is None or row["applied"] < row["times"])
                if applies and parameters.share < 1:
                    chance = random.Random(f"{parameters.seed}:{row['seen']}").random()  # noqa: S311 - repeatable on purpose
                    applies = chance < parameters.share
                tx.execute("UPDATE fault SET seen = seen + 1, applied = applied + ? WHERE id = ?", (applies, row["id"]))
                if applies:
                    found.append(Active(row["id"], row["fault"], parameters))
        return found

    def exists(self, fault_id: int | None) -> bool:
        return self._state.one("SELECT 1 FROM fault WHERE id = ?", (fault_id,)) is not None

    def read(self) -> list[dict[str, Any]]:
        rows = self._state.query("SELECT * FROM fault ORDER BY id")
        return [{**dict(row), "parameters": json.loads(row["parameters"])} for row in rows]

    def clear(self, fault_id: int | None = None) -> None:
        with self._state.transaction() as tx:
            tx.execute("DELETE FROM fault WHERE ? IS NULL OR id = ?", (fault_id, fault_id))
