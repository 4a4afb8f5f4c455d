"""The list of all events, in order. Tests use it to prove the invariants of sending."""

import json
from typing import Any

from sandbox.state import State, iso, now

WAREHOUSE_STATEMENT = "warehouse.statement"
CENSUS_REQUEST = "census.request"
RUN_STARTED = "census.run.started"
RUN_ENDED = "census.run.ended"
RUN_SKIPPED = "census.run.skipped"
SALESFORCE_TRANSACTION = "salesforce.transaction"
SALESFORCE_REQUEST = "salesforce.request"
REPLICATION = "replication"
SANDBOX_STARTED = "sandbox.started"
NOTEBOOK = "notebook"


class Journal:
    """
    An append-only list. An entry made within a transaction of the state is part of it, so it cannot disagree with the facts.

    It never holds a token: it records no headers and no parameters of statements.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    def add(self, kind: str, **body: Any) -> None:
        with self._state.transaction() as tx:
            tx.execute("INSERT INTO journal (at, kind, body) VALUES (?, ?, ?)", (iso(now()), kind, json.dumps(body)))

    def read(self, after: int = 0, kind: str | None = None) -> list[dict[str, Any]]:
        rows = self._state.query(
            "SELECT * FROM journal WHERE seq > ? AND (? IS NULL OR kind = ?) ORDER BY seq", (after, kind, kind)
        )
        return [{"seq": row["seq"], "at": row["at"], "kind": row["kind"], **json.loads(row["body"])} for row in rows]
