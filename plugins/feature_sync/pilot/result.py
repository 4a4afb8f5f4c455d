"""What became of a pilot: judged from the sync log and from Salesforce itself, before a person is asked."""

import logging
from collections.abc import Mapping
from typing import Any

from feature_sync.config.names import SALESFORCE_CONN_ID
from feature_sync.config.run_config import Strategy, parse_run_config
from feature_sync.config.settings import load_settings
from feature_sync.config.wording import count_of
from feature_sync.pilot.choice import PILOT_BATCH, read_pilot, read_strata
from feature_sync.pilot.question import Pilot, Seen, pilot_question
from feature_sync.pilot.rest import PilotError, read_rest
from feature_sync.salesforce.errors import SalesforceNotAllowedError
from feature_sync.salesforce.read_back import ReadBack, rows_of
from feature_sync.salesforce.reader import new_reader
from feature_sync.sending.adoption import Patience
from feature_sync.sending.batches import Attempt, AttemptStatus
from feature_sync.sending.sync_log import SyncLog
from feature_sync.storage.evidence import Purpose, try_to_record_read_backs
from feature_sync.storage.warehouse import Row, Warehouse

log = logging.getLogger(__name__)

STOPS = "Nothing else is sent, and nobody is asked."
CLEAR = "When the cause is gone, clear `probe.send` with its downstream tasks."


def check_pilot(conf: Mapping[str, Any], run_id: str, patience: Patience | None = None) -> str | None:
    """
    Judge a pilot, and write the question about it.

    :param conf: the params of the DAG run.
    :returns: the question in Markdown. None if there is nothing to ask: no pilot, a dry run, or no record that follows the pilot.
    :raises PilotError: the pilot was not accepted as a whole, or Salesforce does not hold what was sent.
    :raises SalesforceError: there is a connection, and Salesforce does not answer.
    """
    config = parse_run_config(conf)
    if config.strategy is not Strategy.PILOT or config.dry_run:
        return None
    settings = load_settings()
    with Warehouse(settings) as warehouse:
        rest = read_rest(warehouse, run_id)
        if not rest.records:
            log.info("No record follows the pilot")
            return None
        attempt = _accepted(SyncLog(warehouse).last_attempt(run_id, PILOT_BATCH))
        seen = _look(warehouse, attempt, patience or Patience())
        pilot = Pilot(read_strata(warehouse, run_id), read_pilot(warehouse, run_id))
        question = pilot_question(pilot, seen, rest, settings.fields)
    log.info("The pilot:\n%s", question)
    return question


def _accepted(attempt: Attempt | None) -> Attempt:
    if attempt is not None and attempt.status.is_success:
        return attempt
    reason = (attempt and attempt.reason) or ("its outcome is not known" if attempt else "it was never sent")
    raise PilotError(f"The pilot, batch {PILOT_BATCH:03d}, did not succeed: {reason} {STOPS} {CLEAR}", is_explained=True)


def _look(warehouse: Warehouse, attempt: Attempt, patience: Patience) -> Seen:
    counts = warehouse.fetch_one("pilot/count_shown", {"run_id": attempt.run_id, "asked_at": None})
    by_counters = attempt.status is AttemptStatus.ACCEPTED_BY_COUNTERS
    records, shown = counts["records"], counts["records_shown"]
    sent = _sent_values(warehouse, attempt)
    reader = new_reader()
    if not reader.is_configured():
        reason = f"there is no connection {SALESFORCE_CONN_ID}"
        return Seen(records, 0, shown, not_read=reason, by_counters=by_counters)
    read_back = ReadBack(reader, warehouse.settings, patience.read_back_seconds, patience.read_back_pause)
    try:
        found = read_back.compare(sent)
    except SalesforceNotAllowedError as refused:
        return Seen(records, 0, shown, not_read=str(refused), by_counters=by_counters)
    rows = rows_of(found.found, warehouse.settings.fields)
    try_to_record_read_backs(warehouse, attempt.run_id, Purpose.PILOT, rows)
    if found.differences:
        differs = f"{len(found.keys):,} of {count_of(found.records, 'record')} {'differs' if len(found.keys) == 1 else 'differ'}"
        raise PilotError(f"Salesforce does not hold what the pilot sent: {differs}. {found.summary} {STOPS} {CLEAR}")
    return Seen(records, found.records, shown, unreadable=found.unreadable, by_counters=by_counters)


def _sent_values(warehouse: Warehouse, attempt: Attempt) -> dict[str, Row]:
    """The values of all records of the pilot, by upsert key."""
    key = warehouse.settings.fields.upsert_key.column
    rows = warehouse.fetch_all(
        "sending/select_sent_values",
        {"run_id": attempt.run_id, "batch_number": PILOT_BATCH, "resends_attempt": None, "attempt": attempt.number},
    )
    return {row[key]: row for row in rows}
