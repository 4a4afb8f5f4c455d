"""Airflow reads its environment when it is first imported, so it is set here, before any test imports it."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

LIVE = "tests/live/"
ONE_HALF = (
    *("test_backfill.py", "test_reconciliation.py", "test_recovery.py"),
    *("test_chaos.py", "test_strategies.py", "test_upgrade.py", "test_waiting.py"),  # of `make test-long`
)
PROJECT = Path(__file__).resolve().parents[1]

for name in [name for name in os.environ if name.startswith(("AIRFLOW", "FEATURE_SYNC_"))]:
    del os.environ[name]
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)
# No test speaks TLS. Without this, each connection to the warehouse loads all authorities of the machine: a tenth of a second.
os.environ |= {"SSL_CERT_FILE": os.devnull, "SSL_CERT_DIR": os.devnull}
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(PROJECT / "dags")
os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(PROJECT / "plugins")


LONGEST_FIRST = ("tests/spark/", "tests/oracle/", "tests/wire/", "tests/sandbox/")
"""The folders whose files take long, so that no core waits for one of them at the end. Those of all others take seconds."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests that drive a real Airflow take longest, so they come first."""

    def place(item: pytest.Item) -> int:
        if item.get_closest_marker("live"):
            return 0
        return next((place for place, folder in enumerate(LONGEST_FIRST, 1) if item.nodeid.startswith(folder)), 99)

    items.sort(key=place)


class LiveInTwoHalves(LoadScopeScheduling):
    """
    Shares the tests among workers by file, but those of one real Airflow in two halves of about the same length.

    All of them mostly wait: two cores bear an Airflow for each half, and a third worker with the other tests beside them.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        if not file.startswith(LIVE):
            return file
        return "live, one half" if file.endswith(ONE_HALF) else "live, the other half"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LiveInTwoHalves:
    return LiveInTwoHalves(config, log)
