"""The questions about the rollup Flow when all records are sent at once (strategy ``full``). Salesforce is asked too."""

import logging
from typing import Any

from feature_sync.backfill.plan import read_batches
from feature_sync.backfill.validation import balance_books
from feature_sync.config.names import SALESFORCE_CONN_ID
from feature_sync.config.settings import load_settings
from feature_sync.config.wording import count_of
from feature_sync.salesforce.errors import SalesforceNotAllowedError
from feature_sync.salesforce.reader import new_reader
from feature_sync.sending.sync_log import SyncLog
from feature_sync.storage.warehouse import Warehouse

log = logging.getLogger(__name__)

FLOW = "Product Property | After | Rollup Flow"

SWITCH_OFF = f"""
All records of this run go to Salesforce at once. The Flow **{FLOW}** would fail on that, so it must be off.

1. Salesforce Setup, **Flows**, *{FLOW}*: open it and choose **Deactivate**.
2. Check that no version is active.

**Approve** when it is off: all records are sent at once.

**Reject**: nothing is sent, and the run fails.
"""

SWITCH_ON = f"""
Sending has ended. Now the Flow **{FLOW}** must be on again, whatever became of the records.

1. Salesforce Setup, **Flows**, *{FLOW}*: open its latest version and choose **Activate**.
2. While the Flow was off, the companies' rollups were not updated. Recompute them: run the Flow, or your rollup job, for the
   companies of the records in this run's full CSV.
3. Check the rollups of two or three of these companies.

**Approve** when all three are done: the run can end.

**Reject**: the run fails, and nobody has confirmed that the Flow is on.
"""

FLOW_MAY_BE_OFF = "The rollup Flow may be off until this is answered."


class FlowStateError(RuntimeError):
    """A person has confirmed the state of the Flow, and Salesforce says the opposite."""


def sending_outcome(run_id: str) -> str:
    """What became of the records of a run, as a sentence. That it cannot be read keeps nobody from being asked."""
    try:
        with Warehouse(load_settings()) as warehouse:
            books = balance_books(read_batches(warehouse, run_id), SyncLog(warehouse).last_attempts(run_id))
    except Exception as error:  # whatever the warehouse says
        log.warning("What became of the records could not be read: %s", error)
        return "Sending has ended. What became of the records could not be read; `batch.send` shows it."
    if books.sent == books.in_scope:
        return f"Sending has ended: all of {count_of(books.in_scope, 'record', 'was', 'were')} accepted."
    parts = [f"{books.rejected:,} of {count_of(books.in_scope, 'record', 'was', 'were')} rejected", f"{books.sent:,} accepted"]
    if books.not_sent:
        parts.append(f"{books.not_sent:,} not sent, or nobody knows what became of them")
    return f"Sending has ended: {', '.join(parts)}. `batch.send` says why."


def refuse_active_flow(run_id: str) -> None:
    """
    After a person has said that the Flow is off: ask Salesforce, if it may be asked.

    :raises FlowStateError: a version of it is active.
    :raises SalesforceError: Salesforce does not answer.
    """
    _compare_flow(run_id, is_on=False, cure="Deactivate it, then clear this task and answer again. Nothing was sent.")


def refuse_inactive_flow(run_id: str) -> None:
    """
    After a person has said that the Flow is on again: ask Salesforce, if it may be asked.

    :raises FlowStateError: no version of it is active.
    :raises SalesforceError: Salesforce does not answer.
    """
    _compare_flow(run_id, is_on=True, cure="Activate its latest version, then clear this task and answer again.")


def _compare_flow(run_id: str, *, is_on: bool, cure: str) -> None:
    name = load_settings().salesforce_flow
    reader = new_reader()
    if not name or not reader.is_configured():
        missing = f"connection {SALESFORCE_CONN_ID}" if name else "SALESFORCE_FLOW"
        log.info("%s: Salesforce was not asked whether the Flow is %s: no %s", run_id, "on" if is_on else "off", missing)
        return
    try:
        state = reader.flow(name)
    except SalesforceNotAllowedError as refused:
        log.warning("%s: not checked whether the Flow is %s: %s", run_id, "on" if is_on else "off", refused)
        return
    if state is None:
        raise FlowStateError(f"Salesforce has no Flow with the developer name {name}. Correct or empty SALESFORCE_FLOW.")
    if state.is_active is not is_on:
        raise FlowStateError(f"The answer was that the Flow is {'on' if is_on else 'off'}, but Salesforce says: {state}. {cure}")
    log.info("Salesforce says so too: %s", state)


_RECORDS = "(ti.xcom_pull(task_ids='check_payload') or {}).get('records')"
_SENDS_ALL = f"params.strategy == 'full' and not params.dry_run and {_RECORDS}"
BEFORE_SENDING: dict[str, Any] = {
    "subject": f"Is the rollup Flow off, for {{{{ {_RECORDS} }}}} records at once?",
    "question": f"{{% if {_SENDS_ALL} %}}{SWITCH_OFF}{{% endif %}}",
    "on_approval": refuse_active_flow,
    "not_needed": "Nobody is asked: the Flow stays on, unless the strategy is full and the run sends records.",
}
"""How the task that asks before anything is sent asks: arguments of `RunApprovalOperator`. Airflow renders them."""
AFTER_SENDING: dict[str, Any] = {
    "subject": "Is the rollup Flow on again?",
    "question": f"{{% if ti.xcom_pull(task_ids='confirm_flow_off') %}}{SWITCH_ON}{{% endif %}}",
    "urgent": FLOW_MAY_BE_OFF,
    "outcome": sending_outcome,
    "on_approval": refuse_inactive_flow,
    "not_needed": "Nobody is asked: in this run nobody has confirmed that the Flow is off.",
}
"""The same for the task that asks when all batches have ended."""
"""What the question about the Flow after the sending needs, see `RunApprovalOperator`."""
