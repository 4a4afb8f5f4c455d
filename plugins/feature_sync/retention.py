"""Removes payloads of runs that are over for long. The sync log, the history of what was sent, stays."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from feature_sync.schema import prepare_tables
from feature_sync.settings import load_settings
from feature_sync.warehouse import Warehouse

log = logging.getLogger(__name__)


def remove_old_payloads(is_unfinished: Callable[[str], bool], now: datetime | None = None) -> dict[str, Any]:
    """
    Remove the payload, and the rejected rows, of runs in which nothing has happened for ``payload_days``.

    Until then each of them can be retried and undone. A run that Airflow has not finished stays, however old it is.

    :param is_unfinished: whether the DAG run of that id is queued or running.
    :param now: for tests.
    :returns: the runs whose payloads were removed, and those that were old enough but not finished.
    """
    settings = load_settings()
    before = (now or datetime.now(UTC)) - timedelta(days=settings.payload_days)
    removed, kept = [], []
    with Warehouse(settings) as warehouse:
        prepare_tables(warehouse)
        for row in warehouse.fetch_all("select_expired_runs", {"before": before.isoformat()}):
            run_id = row["run_id"]
            if is_unfinished(run_id):
                log.warning("%s is not finished since before %s; its payload stays", run_id, before)
                kept.append(run_id)
                continue
            warehouse.execute("delete_rejections", {"run_id": run_id})
            warehouse.execute("delete_payload", {"run_id": run_id})
            log.info("Removed the payload of %s: %s records", run_id, f"{row['records']:,}")
            removed.append(run_id)
    log.info("%s payloads older than %s days removed", len(removed), settings.payload_days)
    return {"removed": removed, "kept": kept}
