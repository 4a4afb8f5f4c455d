"""From the scope to batches: the payload is frozen in the warehouse, checked, exported, cut. No row passes through Airflow."""

import logging
from collections.abc import Mapping
from datetime import date
from typing import Any

from feature_sync.batches import Batch, check_plan
from feature_sync.csv_files import CsvError, split_csv, write_csv
from feature_sync.guards import GuardError
from feature_sync.payload_guards import Thresholds, mass_disable_problems, payload_problems
from feature_sync.preconditions import scope_parameters
from feature_sync.preview import Preview, approval_body, product_changes
from feature_sync.run_config import count_batches, estimate_seconds, parse_run_config
from feature_sync.run_files import run_files, write_json
from feature_sync.settings import Settings, load_settings
from feature_sync.warehouse import Parameters, Warehouse

log = logging.getLogger(__name__)


def freeze_payload(conf: Mapping[str, Any], run_id: str) -> dict[str, Any]:
    """
    Write the values that this run sends, and those that stand in Salesforce before, to the payload table.

    Doing it again gives a new payload as long as no batch was tried, and changes nothing from then on. A run that undoes another
    also writes ``records_not_undone.csv``: which records of that run it leaves as they are, and why.

    :param conf: the params of the DAG run.
    :returns: how many records it has.
    """
    config = parse_run_config(conf)
    settings = load_settings()
    own: Parameters = {"run_id": run_id, "batch_size": config.batch_size}
    with Warehouse(settings) as warehouse:
        warehouse.execute("delete_unsent_payload", {"run_id": run_id})
        if config.undo_run_id is None:
            warehouse.execute("freeze_payload", {**scope_parameters(config), **own})
        else:
            undone: Parameters = {"undo_run_id": config.undo_run_id}
            rows = warehouse.stream("select_records_not_undone", undone)
            write_csv(run_files(settings, run_id).records_not_undone, rows)
            warehouse.execute("freeze_undo", {**undone, **own})
        records = warehouse.fetch_one("summarize_payload", {"run_id": run_id})["records"]
    log.info("Frozen: %s records", f"{records:,}")
    return {"records": records}


def check_payload(conf: Mapping[str, Any], run_id: str) -> dict[str, Any]:
    """
    Write the preview, hold the frozen payload against the guards, and release it unless a person has to approve it first.

    Only a released payload can be staged. One that is refused is removed.

    :returns: counts, and ``approval``: what a person has to approve before anything is sent, or nothing.
    :raises GuardError: the payload must not be sent; the message names each guard that does not hold.
    """
    config = parse_run_config(conf)
    settings = load_settings()
    files = run_files(settings, run_id)
    with Warehouse(settings) as warehouse:
        earliest = settings.guard_earliest_date.isoformat()
        facts = warehouse.fetch_one("check_payload", {"run_id": run_id, "earliest_date": earliest})
        summary = warehouse.fetch_one("summarize_payload", {"run_id": run_id})
        not_undone = 0
        if config.undo_run_id is not None:
            counts = warehouse.fetch_one("count_undone_records", {"undo_run_id": config.undo_run_id})
            not_undone = counts["records"] - facts["records"]
        batches = count_batches(facts["records"], config.batch_size)
        preview = Preview(
            run_id=run_id,
            records=facts["records"],
            records_unmatched=facts["records_unmatched"],
            records_not_undone=not_undone,
            batches=batches,
            estimated_seconds=estimate_seconds(batches, config.wait_seconds),
            products=product_changes(summary, settings.fields),
        )
        write_json(files.preview, preview.as_json())
        log.info("What would change in Salesforce (%s):\n%s", files.preview, preview.as_table())
        problems = payload_problems(facts, settings.fields, _thresholds(settings), undoes=config.undo_run_id is not None)
        mass_disable = mass_disable_problems(preview.products, preview.records, _thresholds(settings)) if preview.records else []
        if problems or (mass_disable and not config.allow_mass_disable):
            warehouse.execute("revoke_payload", {"run_id": run_id})
            warehouse.execute("delete_unsent_payload", {"run_id": run_id})
            cure = "If that is meant, start a run with allow_mass_disable; a person then approves the numbers."
            refused = mass_disable if config.allow_mass_disable else [f"{problem} {cure}" for problem in mass_disable]
            raise GuardError([*problems, *refused])
        question = approval_body(preview, mass_disable) if mass_disable and not config.dry_run else None
        if question is None and not config.dry_run:
            warehouse.execute("release_payload", {"run_id": run_id})
    return {"records": preview.records, "records_unmatched": preview.records_unmatched, "approval": question}


def release_payload(run_id: str) -> None:
    """Let the payload of a run be sent, after a person has approved it."""
    with Warehouse(load_settings()) as warehouse:
        warehouse.execute("release_payload", {"run_id": run_id})


def export_csv(run_id: str, day: date) -> dict[str, Any]:
    """
    Write the frozen payload to the full CSV of the run.

    :param day: the UTC day in the file's name.
    :returns: the run's folder, the file, and how many records it has.
    :raises CsvError: the file has other records than the payload.
    """
    settings = load_settings()
    files = run_files(settings, run_id)
    full_csv = files.full_csv(day)
    with Warehouse(settings) as warehouse:
        expected = warehouse.fetch_one("summarize_payload", {"run_id": run_id})["records"]
        records = write_csv(full_csv, warehouse.stream("select_payload", {"run_id": run_id}))
    if records != expected:
        raise CsvError(f"{full_csv.name} has {records:,} records, the payload {expected:,}. Clear this task to write it again.")
    log.info("Written: %s records to %s", f"{records:,}", full_csv)
    return {"folder": str(files.folder), "full_csv": str(full_csv), "records": records}


def plan_batches(conf: Mapping[str, Any], run_id: str, day: date) -> list[dict[str, Any]]:
    """
    Cut the full CSV into the files of the batches.

    :returns: the batches to send, as `Batch.as_xcom` gives them; none in a dry run.
    :raises PlanError: the payload's batches do not cover it.
    """
    config = parse_run_config(conf)
    settings = load_settings()
    files = run_files(settings, run_id)
    with Warehouse(settings) as warehouse:
        rows = warehouse.fetch_all("select_batches", {"run_id": run_id})
        records = warehouse.fetch_one("summarize_payload", {"run_id": run_id})["records"]
    batches = [Batch(row["batch_number"], row["first_record"], row["last_record"]) for row in rows]
    check_plan(batches, records, config.batch_size)
    split_csv(files.full_csv(day), files.batch_folder, batches)
    log.info("Planned: %s batches in %s", len(batches), files.batch_folder)
    if config.dry_run:
        log.info("Dry run: none of them is sent. What would change: the log of check_payload, and %s", files.preview)
        return []
    return [batch.as_xcom() for batch in batches]


def _thresholds(settings: Settings) -> Thresholds:
    return Thresholds(
        feature_row_share=settings.guard_feature_row_share,
        disable_share=settings.guard_disable_share,
        enabled_records=settings.guard_enabled_records,
        earliest_date=settings.guard_earliest_date,
    )
