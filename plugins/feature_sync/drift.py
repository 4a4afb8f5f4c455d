"""The weekly comparison of Salesforce with the warehouse, by SQL in the warehouse: only counts and a bounded list leave it."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from feature_sync.csv_files import write_csv
from feature_sync.preconditions import NotReadyError
from feature_sync.preview import Preview
from feature_sync.reconciliation import (
    Drift,
    DriftClass,
    NothingComparedError,
    Verdict,
    decide,
    drift_problems,
    outcome_of_healing,
)
from feature_sync.report import MOST_DIFFERENCES, Accuracy, render_report
from feature_sync.run_config import count_batches, estimate_seconds, parse_run_config
from feature_sync.run_files import RunFiles, run_files, write_json, write_text
from feature_sync.schema import prepare_tables
from feature_sync.settings import RECONCILIATION_DAG_ID, load_settings
from feature_sync.validation import NothingToValidateError, is_whole_copy_current, read_copy_state
from feature_sync.warehouse import Warehouse

log = logging.getLogger(__name__)

HISTORY = timedelta(days=730)


class HealingRefusedError(RuntimeError):
    """More differs than was approved, or than may be healed automatically."""


class DriftError(RuntimeError):
    """Salesforce differs from the warehouse. The message has the numbers and what to do."""


def compare(run_id: str) -> dict[str, Any]:
    """
    Compare every property, append what was found to the drift table, and decide whether it is healed.

    Writes ``validation.json``, ``mismatches.csv`` and ``report.html``.

    :returns: ``heals``; ``question``, what a person has to approve before that, or nothing; ``run_config`` of the backfill that
        heals; ``reason``, in words; ``mismatched``, how many properties differ.
    :raises NothingComparedError: there was nothing to compare.
    """
    settings = load_settings()
    files = run_files(settings, run_id, RECONCILIATION_DAG_ID)
    with Warehouse(settings) as warehouse:
        prepare_tables(warehouse)
        warehouse.execute("record_drift", {"run_id": run_id})
        drift = Drift.from_rows(warehouse.fetch_all("select_drift", {"run_id": run_id}), settings.fields)
        if not drift.properties_checked:
            raise NothingComparedError(
                f"No record of {settings.salesforce_table} has a property in {settings.properties_table}: nothing was compared."
            )
        write_csv(files.mismatches, warehouse.stream("select_differences", {"most": MOST_DIFFERENCES}))
        history = read_history(warehouse, drift.checked_at)
    verdict = decide(drift, settings.healing, settings.healing_records_limit, settings.healing_share_limit)
    _write(files, run_id, drift, verdict, history)
    log.info("%s", verdict.reason)
    run_config = {"scope": "mismatched", **settings.healing_run_config}
    if verdict.asks and drift.count(DriftClass.WRONGLY_TRUE):
        run_config["allow_mass_disable"] = True  # then the guard asks once more instead of refusing
    return {
        "heals": verdict.heals,
        "question": healing_question(drift, run_id, run_config) if verdict.asks else None,
        "run_config": run_config,
        "reason": verdict.reason,
        "mismatched": drift.properties_mismatched,
    }


def check_still_allowed(found: Mapping[str, Any]) -> int:
    """
    Look again, right before the healing starts, how much differs: hours may have passed since `compare`.

    :param found: what `compare` returned.
    :returns: how many properties differ now; they are no more than what was approved, or than the limits allow.
    :raises HealingRefusedError: they are.
    """
    settings = load_settings()
    with Warehouse(settings) as warehouse:
        drift = Drift.from_rows(warehouse.fetch_all("compare_systems"), settings.fields)
    records = drift.properties_mismatched
    if found["question"] is not None:
        if records > found["mismatched"]:
            raise HealingRefusedError(
                f"{found['mismatched']:,} records were approved, but {records:,} differ now. Nothing was sent. Start a new run."
            )
    elif records:
        verdict = decide(drift, settings.healing, settings.healing_records_limit, settings.healing_share_limit)
        if not verdict.heals or verdict.asks:
            raise HealingRefusedError(f"Nothing was sent: {verdict.reason}")
    return records


def conclude(run_id: str, found: Mapping[str, Any] | None, states: Mapping[str, str]) -> dict[str, Any]:
    """
    Compare once more, after whatever was healed, and say whether Salesforce equals the warehouse.

    The drift table keeps what was found before; the files then say how it is now.

    :param found: what `compare` returned; nothing when it did not come to an end.
    :param states: of the tasks before this one, by task id.
    :returns: the result in words, and how many properties were checked.
    :raises NothingToValidateError: the copy was not fresh, or `compare` did not succeed.
    :raises NotReadyError: the copy of Salesforce is stale now.
    :raises DriftError: something differs, or the healing failed.
    """
    if found is None or {states.get("wait_for_copy"), states.get("compare")} != {"success"}:
        raise NothingToValidateError("Nothing was compared. Look at the first red task, and clear it with its downstream tasks.")
    settings = load_settings()
    copy = read_copy_state(None, settings)
    if not is_whole_copy_current(copy, settings):
        raise NotReadyError(
            [
                f"{settings.salesforce_table} is stale now: its newest row was replicated at {copy.synced_at}, and "
                f"{copy.records_stale:,} records that were sent do not show yet. Clear wait_for_copy with its downstream tasks."
            ]
        )
    files = run_files(settings, run_id, RECONCILIATION_DAG_ID)
    with Warehouse(settings) as warehouse:
        drift = Drift.from_rows(warehouse.fetch_all("compare_systems"), settings.fields)
        write_csv(files.mismatches, warehouse.stream("select_differences", {"most": MOST_DIFFERENCES}))
        history = read_history(warehouse, drift.checked_at)
    verdict = outcome_of_healing(found, states)
    healed = found["mismatched"] if states.get("heal") == "success" else None
    report = _write(files, run_id, drift, verdict, history, mismatched_before=healed)
    problems = drift_problems(drift, verdict)
    if states.get("heal") == "failed" and not drift.properties_mismatched:
        problems.append(verdict.reason)
    if problems:
        raise DriftError("\n".join([*problems, f"Details: {files.validation}, {files.mismatches.name}, {files.report.name}"]))
    return {"result": report["result"], "properties_checked": drift.properties_checked}


def read_history(warehouse: Warehouse, now: datetime) -> list[Accuracy]:
    """How accurate each product was at each reconciliation of the last two years, the oldest first."""
    rows = warehouse.fetch_all("select_drift_history", {"since": (now - HISTORY).astimezone(UTC).isoformat()})
    return [
        Accuracy(row["run_id"], row["product"], row["checked_at"], row["accuracy"], row["mismatched"])
        for row in rows
        if row["accuracy"] is not None
    ]


def healing_question(drift: Drift, run_id: str, run_config: Mapping[str, Any]) -> str:
    """What a person approves before the differing records are sent again, in Markdown."""
    config = parse_run_config(run_config)
    batches = count_batches(drift.properties_mismatched, config.batch_size)
    preview = Preview(
        run_id=run_id,
        records=drift.properties_mismatched,
        records_unmatched=drift.properties_unmatched,
        records_not_undone=0,
        batches=batches,
        estimated_seconds=estimate_seconds(batches, config.wait_seconds),
        products=drift.changes,
    )
    differences = "\n".join(f"- {drift.count(kind):,} {kind.description}" for kind in DriftClass if drift.count(kind))
    return (
        f"{drift.properties_mismatched:,} of {drift.properties_checked:,} properties in Salesforce differ from the warehouse:\n\n"
        f"{differences}\n\nSend them again? A backfill with scope `mismatched` does it; its guards and approvals hold. "
        f"The numbers are of all properties:\n\n{preview.as_table()}\n"
    )


def _write(
    files: RunFiles,
    run_id: str,
    drift: Drift,
    verdict: Verdict,
    history: list[Accuracy],
    *,
    mismatched_before: int | None = None,
) -> dict[str, Any]:
    report = {
        "run_id": run_id,
        "checked_at": drift.checked_at.isoformat(),
        "mirror_synced_at": drift.copy_synced_at and drift.copy_synced_at.isoformat(),
        "result": f"{drift.properties_mismatched:,} properties with mismatched feature data",
        **drift.as_json(),
        "healing": {"heals": verdict.heals, "reason": verdict.reason, "mismatched_before": mismatched_before},
    }
    write_json(files.validation, report)
    write_text(files.report, render_report(drift, verdict, history, mismatched_before=mismatched_before))
    log.info("%s\nRESULT: %s\n%s", _table(drift), report["result"], files.report)
    return report


def _table(drift: Drift) -> str:
    heads = ("in Salesforce", "in warehouse", "mismatched", "accuracy")
    lines = [f"{'product':<24}" + "".join(f"{head:>15}" for head in heads)]
    lines += [
        f"{each.label:<24}{each.enabled_in_salesforce:>15,}{each.enabled_in_warehouse:>15,}{each.mismatched:>15,}{each.accuracy:>15.2%}"
        for each in drift.products
    ]
    lines += [f"{drift.count(kind):,} {kind.description}" for kind in DriftClass if drift.count(kind)]
    return "\n".join(lines)
