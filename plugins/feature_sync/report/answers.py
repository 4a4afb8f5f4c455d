"""What people were asked in a run, from the approval table."""

import re

from feature_sync.config.names import BACKFILL_DAG_ID, HEALING, RECONCILIATION_DAG_ID
from feature_sync.report.facts import Answered, Origin
from feature_sync.storage.warehouse import Warehouse

_HEALING = re.compile(HEALING.format(number="[0-9]+", weekly_run_id="(?P<weekly>.+)"), re.DOTALL)


def read_answers(warehouse: Warehouse, origin: Origin) -> tuple[Answered, ...]:
    """
    The questions of a run and their answers, the oldest first. A weekly run and the backfills that it started are one story, so
    each shows the answers of both.
    """
    healing = _HEALING.fullmatch(origin.run_id) if origin.dag_id == BACKFILL_DAG_ID else None
    weekly = origin.run_id if origin.dag_id == RECONCILIATION_DAG_ID else healing and healing["weekly"]
    rows = warehouse.fetch_all(
        "report/select_approvals",
        {
            "dag_id": origin.dag_id,
            "run_id": origin.run_id,
            "weekly_run_id": weekly,
            "weekly_dag_id": RECONCILIATION_DAG_ID,
            "backfill_dag_id": BACKFILL_DAG_ID,
        },
    )
    return tuple(Answered(**row) for row in rows)
