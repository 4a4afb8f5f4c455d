"""The sandbox's own API: its journal, settings and faults. The APIs that the DAGs call are not here."""

from collections.abc import Mapping
from typing import Any

import requests


class SandboxError(RuntimeError):
    """The sandbox refused a request. The message has its reason."""


class FaultsClient:
    """``/sandbox/faults``. sandbox/README.md lists the faults."""

    def __init__(self, sandbox: "SandboxClient") -> None:
        self._sandbox = sandbox

    def add(self, call: str, fault: str, **parameters: object) -> int:
        """Set a fault for a call, e.g. ``add("trigger", "lost_response", times=1)``. Return its id."""
        return int(self._sandbox.request("POST", "faults", json={"call": call, "fault": fault, **parameters})["id"])

    def list(self) -> list[dict[str, Any]]:
        return list(self._sandbox.request("GET", "faults"))

    def clear(self, fault_id: int | None = None) -> None:
        """Remove one fault, or all."""
        self._sandbox.request("DELETE", "faults" if fault_id is None else f"faults/{fault_id}")


class SandboxClient:
    """A client of the sandbox at ``url``."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.faults = FaultsClient(self)
        self._session = requests.Session()
        self._session.trust_env = False  # calls to this machine use neither a proxy nor a .netrc

    def request(self, method: str, path: str, *, json: object = None, params: Mapping[str, Any] | None = None) -> Any:
        """Return the decoded answer of ``/sandbox/<path>``. :raises SandboxError: the answer is not a success."""
        answer = self._session.request(method, f"{self.url}/sandbox/{path}", json=json, params=params, timeout=30)
        if not answer.ok:
            raise SandboxError(f"{method} /sandbox/{path}: HTTP {answer.status_code}: {answer.text[:2000]}")
        return answer.json() if answer.content else None

    def health(self) -> dict[str, Any]:
        return dict(self.request("GET", "health"))

    def journal(self, after: int = 0, *, kind: str | None = None) -> list[dict[str, Any]]:
        """The entries of the journal with a ``seq`` above ``after``, in order: all kinds, or only ``kind``."""
        chosen: dict[str, Any] = {"after": after} | ({"kind": kind} if kind else {})
        return list(self.request("GET", "journal", params=chosen))

    def settings(self, **changes: object) -> dict[str, Any]:
        """Make the changes, if there are any. Return the settings in force."""
        if changes:
            return dict(self.request("PATCH", "settings", json=changes))
        return dict(self.request("GET", "settings"))

    def start_foreign_run(self, sync_id: int, **options: object) -> int:
        """
        Start a run of the sync as a person does in Census's own pages, outside our DAG. Return the Census run's id.

        :param options: ``ui_tag``, ``full_sync``; see sandbox/README.md.
        """
        return int(self.request("POST", "runs", json={"sync_id": sync_id, **options})["sync_run_id"])
