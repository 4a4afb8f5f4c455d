"""What a script of statements is made of: a statement with its values, or what others do to the replica in the meantime."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from feature_sync.storage.warehouse import Parameters

CLOCK_COLUMNS = frozenset(
    {"accepted_at", "checked_at", "closed_at", "compared_at", "frozen_at", "opened_at", "released_at", "seen_at"}
)
"""Hold the warehouse's own time, so of two executions only the emptiness can be the same."""
WRITING = frozenset({"add", "assign", "create", "delete", "freeze", "prove", "record", "release", "revoke", "stage"})
"""Verbs that a file's name begins with, as in ``tests/sql/test_files.py``."""

RUN, PROBE, FULL, UNDO = "manual__2025-11-24", "manual__2025-11-25", "manual__2025-11-26", "manual__2025-11-27"
PILOT = "manual__2025-11-28"


@dataclass(frozen=True, slots=True)
class Step:
    """A statement of ours with its values. ``names``: see `render_statement`."""

    statement: str
    parameters: Parameters = field(default_factory=dict)
    names: Mapping[str, Any] = field(default_factory=dict)

    @property
    def writes(self) -> bool:
        return self.statement.rpartition("/")[2].partition("_")[0] in WRITING


@dataclass(frozen=True, slots=True)
class Change:
    """What others do to the replica in the meantime."""

    text: str


Script = list[Step | Change]
