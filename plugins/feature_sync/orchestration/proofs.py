"""
What a task notes of itself, so that its success can be told from one that a person has marked.

Airflow's own facts do not tell them apart: marking a task keeps the dates, the number of tries and the XComs of its tries before.
The id of a try is new after each clear and each retry. A note has it in its key, so it cannot outlive its try. The time of a note
is that of the API server, which stores it.
"""

from collections.abc import Mapping
from typing import Any

from feature_sync.config.green import BEGAN, ENDED


def note_beginning(context: Mapping[str, Any]) -> None:
    """Note that this try begins, or goes on after it has waited. Before it does anything else."""
    _note(context, BEGAN)


def note_end(context: Mapping[str, Any], result: Any = None) -> None:  # noqa: ARG001 - Airflow's signature
    """Note that this try comes to its end by itself. After all else, but before Airflow makes it a success."""
    _note(context, ENDED)


def _note(context: Mapping[str, Any], kind: str) -> None:
    ti = context["ti"]
    ti.xcom_push(key=f"{kind}{ti.id}", value=True)
