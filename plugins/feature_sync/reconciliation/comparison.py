"""The weekly comparison of Salesforce with the warehouse, by SQL in the warehouse. Only counts and a bounded list leave it."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from feature_sync.backfill.preview import Preview
from feature_sync.backfill.scope import name_statuses
from feature_sync.backfill.validation import NothingToValidateError
from feature_sync.config.names import RECONCILIATION_DAG_ID
from feature_sync.config.problems import NotReadyError
from feature_sync.config.run_config import parse_run_config
from feature_sync.config.settings import load_settings
from feature_sync.config.wording import count_of, duration
from feature_sync.forecast.duration import forecast
from feature_sync.reconciliation.acceptances import read_acceptances
from feature_sync.reconciliation.digest import send_digest
from feature_sync.reconciliation.drift import Drift, DriftClass, NothingComparedError
from feature_sync.reconciliation.history import read_history
from feature_sync.reconciliation.missing import write_missing_records
from feature_sync.reconciliation.report import MAX_DIFFERENCES, WeeklyPage, describe_difference
from feature_sync.reconciliation.verdict import (
    HEALS,
    Finding,
    Steps,
    Verdict,
    count_differences,
    decide,
    drift_problems,
    name_unmatched,
    outcome_of_healing,
    refuse_lost_parameters,
    with_accepted,
)
from feature_sync.replica.mismatches import write_mismatches
from feature_sync.replica.state import is_whole_replica_current, read_replica_state
from feature_sync.report.answers import read_answers
from feature_sync.report.charts import as_file
from feature_sync.report.facts import Origin
from feature_sync.report.open_records import OpenRecords
from feature_sync.report.page import try_to_read, try_to_write
from feature_sync.storage.freshness import read_clock, refuse_unfit_tables
from feature_sync.storage.run_files import RunFiles, run_files, write_json
from feature_sync.storage.tables import prepare_tables
from feature_sync.storage.warehouse import Warehouse

log = logging.getLogger(__name__)

REUSE_LIMIT = timedelta(minutes=10)
"""As long may `conclude` wait for a worker and still go by the numbers of `compare`, by the warehouse's clock."""


class HealingRefusedError(RuntimeError):
    """More records differ than were approved, or than may be healed automatically."""


class DriftError(RuntimeError):
    """Salesforce differs from the warehouse in what nobody has accepted. The message has the numbers and what to do."""


def compare(run_id: str, *, overrides_params: bool = True, origin: Origin | None = None) -> Finding:
    """
    Compare every property, keep the differences, append their numbers to the drift table, and decide whether the records that
    differ are healed.

    If they are, or a person is asked about it, it writes what `conclude` writes, so that people can look while the run goes on.
    Otherwise `conclude` follows at once.

    :param overrides_params: whether the site lets the config of a run replace the defaults of its params. Otherwise a healing run
        with another pace than the default is not started, and nobody is asked about it.
    :param origin: where the run comes from, for the report.
    :raises GuardError: a table that is read is not as it must be, or too old, so wrong values would be compared and healed.
    :raises NothingComparedError: there was nothing to compare.
    """
    settings = load_settings()
    files = run_files(settings, run_id, RECONCILIATION_DAG_ID)
    origin = origin or Origin(RECONCILIATION_DAG_ID, run_id)
    with Warehouse(settings) as warehouse:
        prepare_tables(warehouse)
        refuse_unfit_tables(warehouse)
        _record_differences(warehouse, run_id)
        warehouse.execute("reconciliation/record_drift", {"compared_by": run_id})
        drift = Drift.from_rows(warehouse.fetch_all("reconciliation/select_drift", {"run_id": run_id}), settings.fields)
        if not drift.properties_checked:
            raise NothingComparedError(
                f"No record of {settings.salesforce_table} has a property in {settings.properties_table}: nothing was compared."
            )
        verdict = decide(drift, settings.healing, settings.healing_records_limit, settings.healing_share_limit)
        run_config = {**settings.healing_run_config, **HEALS}
        if verdict.asks and drift.new(DriftClass.WRONGLY_TRUE):
            run_config["allow_mass_disable"] = True  # then the guard looks whether it was approved, instead of refusing
        if not overrides_params:
            verdict = refuse_lost_parameters(verdict, run_config)
        if verdict.heals:
            _write(_read_page(warehouse, files, origin, drift, verdict), files)
    log.info("%s\n%s", _table(drift), verdict.reason)
    return Finding(
        heals=verdict.heals,
        question=healing_question(drift, run_id, run_config) if verdict.asks else None,
        run_config=run_config,
        reason=verdict.reason,
        mismatched=drift.properties_to_send,
        subject=healing_subject(drift) if verdict.asks else "",
        approves=healing_numbers(drift) if verdict.asks else None,
    )


def check_still_allowed(found: Finding) -> int:
    """
    Compare again, right before the healing starts, because hours may have passed since `compare`.

    :param found: the result of `compare`.
    :returns: how many properties would be sent now: no more than were approved, or than the limits allow.
    :raises HealingRefusedError: more differ.
    """
    settings = load_settings()
    with Warehouse(settings) as warehouse:
        drift = Drift.from_rows(warehouse.fetch_all("reconciliation/compare_systems"), settings.fields)
    records = drift.properties_to_send
    if found.question is not None:
        if records > found.mismatched:
            raise HealingRefusedError(
                f"{found.mismatched:,} records were approved, but {records:,} differ now. Nothing was sent. Start a new run."
            )
    elif records:
        verdict = decide(drift, settings.healing, settings.healing_records_limit, settings.healing_share_limit)
        if not verdict.heals or verdict.asks:
            raise HealingRefusedError(f"Nothing was sent: {verdict.reason}")
    return records


def conclude(
    run_id: str,
    found: Finding | None,
    steps: Steps,
    origin: Origin | None = None,
    tell: Callable[[Mapping[str, Any]], None] | None = None,
    *,
    may_reuse: bool = False,
) -> dict[str, Any]:
    """
    Compare once more, after the healing if there was one, and say whether Salesforce equals the warehouse, but for the
    differences that people have accepted.

    Writes ``validation.json``, ``mismatches.csv``, ``missing_records.csv`` and ``report.html``. The drift table keeps the result
    of `compare`.

    :param found: the result of `compare`, or None if it did not finish.
    :param steps: how the steps before this one ended. :param origin: where the run comes from, for the report.
    :param tell: called with what ``validation.json`` holds, whatever the verdict is.
    :param may_reuse: nobody has asked to look again. Then the numbers of `compare` count, if nothing was to be healed and they
        are `REUSE_LIMIT` old at most.
    :returns: the result in words, how many properties were checked, and how many differences are accepted.
    :raises NothingToValidateError: the replica was not fresh, or `compare` did not succeed.
    :raises NotReadyError: the replica is stale now.
    :raises DriftError: something differs that nobody has accepted, or the healing failed.
    """
    if found is None or not steps.have_compared:
        raise NothingToValidateError("Nothing was compared. Look at the first red task, and clear it with its downstream tasks.")
    settings = load_settings()
    replica = read_replica_state(None, settings)
    if not is_whole_replica_current(replica, settings):
        has_healed = steps.healing in ("success", "failed")
        waiting = "Clear `wait_for_healed_copy`" if has_healed else "Clear `wait_for_copy`"
        raise NotReadyError(
            [
                f"{settings.salesforce_table} is stale now: its newest row was replicated at {replica.synced_at}, and "
                f"{replica.records_stale:,} records that were sent do not show yet. {waiting} with its downstream tasks."
            ]
        )
    files = run_files(settings, run_id, RECONCILIATION_DAG_ID)
    origin = origin or Origin(RECONCILIATION_DAG_ID, run_id)
    with Warehouse(settings) as warehouse:
        drift = _measured_before(warehouse, run_id) if may_reuse and not found.heals else None
        if drift is None:
            prepare_tables(warehouse)  # the healing may have waited while a version came that has more columns
            _record_differences(warehouse, run_id)
            measured = warehouse.fetch_all("reconciliation/measure_drift", {"compared_by": run_id})
            drift = Drift.from_rows(measured, settings.fields)
        verdict = outcome_of_healing(found, steps)
        page = _read_page(warehouse, files, origin, drift, verdict)
        statuses = name_statuses(warehouse.fetch_all("backfill/select_unknown_statuses")) if drift.unknown_status else ""
        unmatched = warehouse.fetch_all("reconciliation/select_unmatched_features") if drift.unmatched_features else []
    healed = found.mismatched if steps.healing == "success" else None
    problems = drift_problems(drift, verdict, statuses, name_unmatched(unmatched))
    if steps.healing == "failed" and not drift.properties_new:
        problems.append(verdict.reason)
    page = replace(page, problems=problems, mismatched_before=healed)
    report = _write(page, files)
    if tell:
        tell(report)
    if problems:
        details = f"Details: {files.validation}, {files.mismatches.name}, {files.report.name}"
        why = [page.causes.sentence] if page.causes.sentence else []
        raise DriftError("\n".join([f"{count_differences(drift)}.", *problems, *why, *page.acceptances.sentences, details]))
    send_digest(settings, run_id, drift, page.history, page.acceptances, healed=healed)
    return {
        "result": report["result"],
        "properties_checked": drift.properties_checked,
        "differences_accepted": drift.differences_accepted,
    }


def healing_question(drift: Drift, run_id: str, run_config: Mapping[str, Any]) -> str:
    """The question to a person before the records that differ are sent again, in Markdown."""
    config = parse_run_config(run_config)
    expected = forecast(drift.properties_to_send, config.strategy, config.batch_size, config.wait_seconds)
    preview = Preview(
        run_id=run_id,
        records=drift.properties_to_send,
        records_unmatched=drift.properties_unmatched,
        records_not_undone=0,
        batches=expected.batches,
        estimated_seconds=expected.seconds,
        products=drift.changes,
    )
    differences = "\n".join(f"- {with_accepted(drift, kind)}" for kind in DriftClass if drift.count(kind))
    return (
        f"{drift.properties_to_send:,} of {drift.properties_checked:,} properties in Salesforce differ from the warehouse and "
        f"would be sent. {count_differences(drift)}:\n\n"
        f"{differences}\n\nSend them again? A backfill with scope `mismatched` does that, with its own guards. It "
        "turns no product off for more records than shown here; your approval counts for that too. "
        f"The numbers below count all properties:\n\n{preview.as_table()}\n\n"
        f"**Approve**: a backfill sends {count_of(drift.properties_to_send, 'record')} in "
        f"{count_of(expected.batches, 'batch')}, about {duration(preview.estimated_seconds)}.\n\n**Reject**: nothing is "
        "sent, and the run fails.\n"
    )


def healing_numbers(drift: Drift) -> dict[str, Any]:
    """The numbers of the question that the backfill may not exceed, by product."""
    return {"records": drift.properties_to_send, "to_disable": {each.product: each.to_disable for each in drift.changes}}


def healing_subject(drift: Drift) -> str:
    """The same question in one line."""
    return (
        f"Send {count_of(drift.properties_to_send, 'record')} again that "
        f"{'differs' if drift.properties_to_send == 1 else 'differ'} from the warehouse?"
    )


def _record_differences(warehouse: Warehouse, run_id: str) -> None:
    """Compare both systems. The numbers and the lists of the run are read from what this keeps."""
    warehouse.execute("reconciliation/delete_differences", {"run_id": run_id})
    warehouse.execute("reconciliation/record_differences", {"run_id": run_id})


def _measured_before(warehouse: Warehouse, run_id: str) -> Drift | None:
    """What `compare` has measured, unless it is too old, of other products, or of another look than the kept differences."""
    try:
        drift = Drift.from_rows(warehouse.fetch_all("reconciliation/select_drift", {"run_id": run_id}), warehouse.settings.fields)
    except NothingComparedError:
        return None
    looks = [row["compared_at"] for row in warehouse.fetch_all("reconciliation/find_look", {"compared_by": run_id})]
    is_recent = read_clock(warehouse) - drift.checked_at <= REUSE_LIMIT
    return drift if is_recent and looks == [drift.checked_at] else None


def _read_page(warehouse: Warehouse, files: RunFiles, origin: Origin, drift: Drift, verdict: Verdict) -> WeeklyPage:
    """Write the lists, and read what the report says besides."""
    settings, run_id = warehouse.settings, origin.run_id
    open_records = OpenRecords(settings.fields, describe_difference)
    listed = warehouse.stream(
        "reconciliation/select_differences",
        {"compared_by": run_id, "most": MAX_DIFFERENCES, "run_id": None, "asked_at": None},
    )
    write_missing_records(files.missing_records, warehouse, run_id, MAX_DIFFERENCES)
    causes = write_mismatches(files.mismatches, listed, settings, watch=open_records.watch)
    return WeeklyPage(
        origin,
        drift,
        verdict,
        read_history(warehouse, drift.checked_at),
        read_acceptances(warehouse, run_id),
        causes,
        None,
        open_records.listed(drift.properties_new, [files.mismatches.name]),
        try_to_read(lambda: read_answers(warehouse, origin)),
        tuple(settings.approval_users),
    )


def _write(page: WeeklyPage, files: RunFiles) -> dict[str, Any]:
    drift, verdict, causes, acceptances = page.drift, page.verdict, page.causes, page.acceptances
    report = {
        "run_id": page.origin.run_id,
        "checked_at": drift.checked_at.isoformat(),
        "mirror_synced_at": drift.replica_synced_at and drift.replica_synced_at.isoformat(),
        "result": f"{count_of(drift.properties_mismatched, 'property')} with mismatched feature data"
        + (f", {drift.properties_accepted:,} of them accepted" if drift.properties_accepted else ""),
        **drift.as_json(),
        "causes": causes.as_json(),
        "causes_new": causes.new_as_json(),
        "causes_note": causes.note,
        "acceptances": acceptances.as_json(),
        "healing": {"heals": verdict.heals, "reason": verdict.reason, "mismatched_before": page.mismatched_before},
    }
    write_json(files.validation, report)
    log.info(
        "%s\nRESULT: %s\n%s", "\n".join([_table(drift), *causes.table, *acceptances.sentences]), report["result"], files.report
    )
    chart = page.draw()
    try_to_write(files.report, lambda: page.render(chart))
    if chart:
        try_to_write(files.accuracy_chart, lambda: as_file(chart))
    return report


def _table(drift: Drift) -> str:
    heads = ("in Salesforce", "in warehouse", "mismatched", "accuracy")
    lines = [f"{'product':<24}" + "".join(f"{head:>15}" for head in heads)]
    lines += [
        f"{each.label:<24}{each.enabled_in_salesforce:>15,}{each.enabled_in_warehouse:>15,}{each.mismatched:>15,}{each.accuracy:>15.2%}"
        for each in drift.products
    ]
    lines += [with_accepted(drift, kind) for kind in DriftClass if drift.count(kind)]
    return "\n".join([*lines, count_differences(drift)])
