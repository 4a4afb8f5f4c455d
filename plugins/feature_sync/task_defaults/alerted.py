"""Which causes people have been alerted of in a run, so that each cause is one alert whichever task meets it first.

One Airflow variable for each cause keeps it. Variables are what workers and the DAG processor can both write: Airflow runs the
callback of a task that it failed itself in the DAG processor, where no XCom can be written. They are removed when the run ends.
"""

import hashlib
import json
import logging
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from airflow.sdk import Variable

log = logging.getLogger(__name__)

PREFIX = "feature_sync_alerted_"
SETTLE_SECONDS = 1.0
"""Between a claim and the look whether it stands. Of tasks that claim one cause within this time, the last one alerts."""
CLAIM_SECONDS = 60
"""After this, a claim whose alert was never sent counts no more: its task has died."""


class AlertedCauses:
    """
    The causes of one run.

    :param clear_number: how often tasks of the run were cleared. What was alerted before a person cleared something is past.
    """

    def __init__(self, dag_id: str, run_id: str, clear_number: int = 0) -> None:
        self._run = f"{dag_id} {run_id}"
        self._clear_number = clear_number
        self._prefix = f"{PREFIX}{_digest(self._run)}_"
        self._mine: list[str] = []

    def claim(self, causes: Iterable[str]) -> bool:
        """
        Whether the caller is to alert people, because a cause is new in this run. It has to call `settle` afterwards.

        If Airflow cannot say what was alerted, the answer is yes: two alerts are better than none.
        """
        try:
            new = [cause for cause in causes if not self._is_alerted(cause)]
            if not new:
                return False
            me = uuid4().hex
            for cause in new:
                self._write(cause, by=me, sent=False)
            time.sleep(SETTLE_SECONDS)
            self._mine = [cause for cause in new if self._read(cause).get("by") == me]
        except Exception as error:  # whatever Airflow's client raises
            log.warning(
                "Airflow does not say what was alerted in this run (%s), so this may be alerted twice", type(error).__name__
            )
            return True
        return bool(self._mine)

    def settle(self, *, sent: bool) -> None:
        """Say whether the alert was sent. If it was not, the next task that meets the cause alerts people."""
        for cause in self._mine:
            if sent:
                self._write(cause, by="", sent=True)
            else:
                Variable.delete(self._key(cause))
        self._mine = []

    def is_any_sent(self) -> bool:
        """Whether an alert was sent since tasks of the run were cleared last."""
        try:
            entries = [_parse(Variable.get(key, default=None)) for key in Variable.keys(prefix=self._prefix)]
        except Exception as error:
            log.warning("Airflow does not say what was alerted in this run (%s)", type(error).__name__)
            return False
        return any(entry.get("sent") and entry.get("clear", 0) >= self._clear_number for entry in entries)

    def forget(self) -> None:
        """Remove what was kept of the run, which has ended."""
        for key in list(Variable.keys(prefix=self._prefix)):
            Variable.delete(key)

    def _is_alerted(self, cause: str) -> bool:
        entry = self._read(cause)
        if not entry or entry.get("clear", 0) < self._clear_number:
            return False
        return bool(entry["sent"]) or _age(entry["at"]) < CLAIM_SECONDS

    def _read(self, cause: str) -> dict[str, Any]:
        return _parse(Variable.get(self._key(cause), default=None))

    def _write(self, cause: str, *, by: str, sent: bool) -> None:
        entry = {"run": self._run, "clear": self._clear_number, "by": by, "sent": sent, "at": datetime.now(UTC).isoformat()}
        Variable.set(
            self._key(cause),
            json.dumps(entry),
            description="An alert of a run of Salesforce feature sync; removed when the run ends.",
        )

    def _key(self, cause: str) -> str:
        return self._prefix + _digest(cause)


def _parse(value: str | None) -> dict[str, Any]:
    return json.loads(value) if value else {}


def _age(at: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
