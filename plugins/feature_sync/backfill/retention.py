"""Removes the payloads of old runs. The sync log, the history of what was sent, stays."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from feature_sync.config.settings import load_settings
from feature_sync.storage.tables import prepare_tables
from feature_sync.storage.warehouse import Warehouse

log = logging.getLogger(__name__)


def remove_old_payloads(is_unfinished: Callable[[str], bool], now: datetime | None = None) -> dict[str, Any]:
    """
    Remove the payload, the rejected rows and what was read back of runs without activity for ``payload_days``.

    Until then a run can be retried and undone. The payload of a run that has not finished in Airflow stays, however old it is.

    :param is_unfinished: whether the DAG run with this id is queued or running.
    :param now: the time to count back from; by default the current time.
    :returns: the runs whose payloads were removed, and the old ones that have not finished.
    """
    settings = load_settings()
    before = (now or datetime.now(UTC)) - timedelta(days=settings.payload_days)
    removed, kept = [], []
    with Warehouse(settings) as warehouse:
        prepare_tables(warehouse)
        for row in warehouse.fetch_all("backfill/select_expired_runs", {"before": before.isoformat()}):
            run_id = row["run_id"]
            if is_unfinished(run_id):
                log.warning("%s has not finished since before %s, so its payload stays", run_id, before)
                kept.append(run_id)
                continue
            warehouse.execute("backfill/delete_rejections", {"run_id": run_id})
            warehouse.execute("backfill/delete_read_backs", {"run_id": run_id})
            warehouse.execute("backfill/delete_payload", {"run_id": run_id})
            log.info("Removed the payload of %s: %s records", run_id, f"{row['records']:,}")
            removed.append(run_id)
    log.info("%s payloads older than %s days removed", len(removed), settings.payload_days)
    return {"removed": removed, "kept": kept}
