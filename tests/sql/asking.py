"""The statements about what Salesforce itself says, and about what is kept as evidence."""

from feature_sync.config.fields import FieldKind
from feature_sync.config.settings import Settings
from feature_sync.storage.lines import as_lines
from feature_sync.storage.warehouse import Parameters
from tests.sql.data import INCIDENT, SALESFORCE_IDS
from tests.sql.steps import RUN, Script, Step

ASKED_AT = "2025-11-24T03:00:00.123456+00:00"
STORY = (
    *(Step("story/find_records", {"asked": each}) for each in (INCIDENT[0], SALESFORCE_IDS[INCIDENT[1]], "court", "nobody's")),
    Step("story/select_attempts", {"salesforce_id": SALESFORCE_IDS[INCIDENT[0]]}),
    Step("story/select_read_backs", {"salesforce_id": SALESFORCE_IDS[INCIDENT[0]]}),
    Step(
        "story/select_answers",
        {
            "salesforce_id": SALESFORCE_IDS[INCIDENT[0]],
            "backfill_dag_id": "product_feature_backfill",
            "weekly_dag_id": "product_feature_reconciliation",
        },
    ),
)
"""What is asked of one record."""


def validation(settings: Settings) -> Script:
    """A run is validated from the replica, and from what Salesforce itself said of a few of its records."""
    run = {"run_id": RUN}
    approval = {
        **run,
        "dag_id": "product_feature_backfill",
        "task_id": "approve_mass_disable",
        "question": "| Größe | 東京 |",
        "asked_at": "2025-11-24T01:00:00+00:00",
        "answer": "Approve",
        "answered_by": None,
        "answered_at": "2025-11-24T01:10:00.5+00:00",
        "reason": None,
        "started_by": None,
        "approves": None,
    }
    full = {"answered_by": "Ann O'Hara", "reason": "OPS-1: 東京", "started_by": "bo", "approves": '{"records": 1}'}
    asked = {"dag_id": approval["dag_id"], "task_id": approval["task_id"]}
    return [
        Step("backfill/validate_payload", {**run, "asked_at": None}),
        Step("backfill/select_mismatches", {**run, "asked_at": None}),
        Step("replica/select_run_keys", {**run, "most": 11}),
        Step("replica/select_sample", {**run, "asked_at": None, "most": 7}),
        *[read_back(settings)] * 2,
        Step("backfill/validate_payload", {**run, "asked_at": ASKED_AT}),
        Step("backfill/select_mismatches", {**run, "asked_at": ASKED_AT}),
        *[Step("tables/record_approval", approval)] * 2,
        Step("tables/record_approval", {**approval, **full, "answered_by": "Ann O'Hara"}),
        *(
            Step("tables/select_approvals", {**asked, "since": since})
            for since in ("2025-11-24T01:10:00+00:00", "2025-11-24T01:10:01+00:00")
        ),
        *(Step("report/select_approvals", _asked_in(dag_id, RUN, weekly)) for dag_id, weekly in FAMILIES),
    ]


FAMILIES = (("product_feature_backfill", None), ("product_feature_backfill", RUN), ("product_feature_reconciliation", RUN))
"""DAGs of a run, with the weekly run that it belongs to."""


def _asked_in(dag_id: str, run_id: str, weekly_run_id: str | None) -> Parameters:
    return {
        "dag_id": dag_id,
        "run_id": run_id,
        "weekly_run_id": weekly_run_id,
        "weekly_dag_id": "product_feature_reconciliation",
        "backfill_dag_id": "product_feature_backfill",
    }


def read_back(settings: Settings) -> Step:
    """Salesforce was asked for some records of the run."""
    look = {"run_id": RUN, "purpose": "validation", "read_at": ASKED_AT, "records": _read_back(settings)}
    return Step("tables/record_read_back", look)


def _read_back(settings: Settings) -> str:
    """Some records as Salesforce holds them: every second flag is True, and every second date is empty."""
    values = {FieldKind.DATE: "2025-11-21", FieldKind.DATETIME: "2025-11-21T05:00:00+00:00", FieldKind.TEXT: "text"}
    rows = []
    for number, key in enumerate(INCIDENT[:6]):
        cells = [
            str((number + place) % 2 == 0).lower()
            if each.kind is FieldKind.CHECKBOX
            else values[each.kind] * ((number + place) % 2)
            for place, each in enumerate(settings.fields.features)
        ]
        rows.append([SALESFORCE_IDS[key], key, "2025-11-24T02:30:00+00:00", "Integration User" * (number % 2), "", *cells])
    return as_lines(rows)
