"""The questions about the rollup Flow when all records are sent at once (strategy ``full``). Salesforce is asked too."""

import logging

from feature_sync.config.names import SALESFORCE_CONN_ID
from feature_sync.config.settings import load_settings
from feature_sync.salesforce.errors import SalesforceNotAllowedError
from feature_sync.salesforce.hook import SalesforceReader

log = logging.getLogger(__name__)

FLOW = "Product Property | After | Rollup Flow"

SWITCH_OFF = f"""
All records of this run go to Salesforce at once. The Flow **{FLOW}** would fail on that, so it must be off.

1. Salesforce Setup, **Flows**, *{FLOW}*: open it and choose **Deactivate**.
2. Check that no version is active.

Approve when it is off. If you reject, nothing is sent.
"""

SWITCH_ON = f"""
Sending has ended; `batch.send` and `validate` show the result. Now the Flow **{FLOW}** must be on again.

1. Salesforce Setup, **Flows**, *{FLOW}*: open its latest version and choose **Activate**.
2. While the Flow was off, the companies' rollups were not updated. Recompute them: run the Flow, or your rollup job, for the
   companies of the records in this run's full CSV.
3. Check the rollups of two or three of these companies.

Approve when all three are done. The run does not end before that.
"""


class FlowStateError(RuntimeError):
    """A person has confirmed the state of the Flow, and Salesforce says the opposite."""


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
    reader = SalesforceReader()
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
