"""How many requests the org has answered, and what it allows."""

import json
import time
from typing import Any

from sandbox.settings import SettingsStore
from sandbox.state import State

COUNTS = "org.requests"
HOURS = 24
FIXED = {
    "ConcurrentAsyncGetReportInstances": 200,
    "ConcurrentSyncReportRuns": 20,
    "DailyAsyncApexExecutions": 250_000,
    "DailyBulkApiBatches": 15_000,
    "DailyBulkV2QueryFileStorageMB": 976_562,
    "DailyBulkV2QueryJobs": 10_000,
    "DailyDurableStreamingApiEvents": 10_000,
    "DailyGenericStreamingApiEvents": 10_000,
    "DailyWorkflowEmails": 385,
    "HourlyAsyncReportRuns": 1_200,
    "HourlyTimeBasedWorkflow": 1_000,
    "MassEmail": 5_000,
    "SingleEmail": 5_000,
}
"""Nothing here uses these up."""
STORAGE = {"DataStorageMB": (10_240, 9_876), "FileStorageMB": (10_240, 10_112)}
"""Only users who may manage users see these (Salesforce REST API: Limits)."""


class RequestLimit:
    """
    The requests of the last 24 hours (Salesforce: API request limits and allocations).

    They are counted by the hour, so a request is forgotten after 23 to 24 hours.
    """

    def __init__(self, state: State, settings: SettingsStore) -> None:
        self._state = state
        self._settings = settings

    @property
    def allowed(self) -> int:
        return self._settings.current.salesforce_daily_requests

    def used(self) -> int:
        return sum(self._counts().values())

    def take(self) -> bool:
        """Count a request. False if none is left."""
        with self._state.transaction():
            counts = self._counts()
            if sum(counts.values()) >= self.allowed:
                return False
            hour = str(_hour())
            self._state.set_fact(COUNTS, json.dumps({**counts, hour: counts.get(hour, 0) + 1}))
        return True

    def headers(self) -> dict[str, str]:
        """Salesforce REST API: Limit Info Header."""
        return {"Sforce-Limit-Info": f"api-usage={self.used()}/{self.allowed}"}

    def describe(self, *, with_storage: bool) -> dict[str, Any]:
        """Salesforce REST API: Limits."""
        limits = {name: (allowed, allowed) for name, allowed in FIXED.items()}
        limits["DailyApiRequests"] = (self.allowed, max(0, self.allowed - self.used()))
        limits |= STORAGE if with_storage else {}
        return {name: {"Max": allowed, "Remaining": left} for name, (allowed, left) in sorted(limits.items())}

    def _counts(self) -> dict[str, int]:
        counts = json.loads(self._state.fact(COUNTS) or "{}")
        return {hour: count for hour, count in counts.items() if int(hour) > _hour() - HOURS}


def _hour() -> int:
    return int(time.time() // 3600)
