"""From the scope to batches: the payload is frozen in the warehouse, exported, and cut. No row passes through Airflow."""

import logging
from collections.abc import Mapping
from datetime import date
from typing import Any

from feature_sync.batches import Batch, check_plan
from feature_sync.csv_files import CsvError, split_csv, write_csv
from feature_sync.fields import FieldTable
from feature_sync.guards import GuardError, payload_problems
from feature_sync.preconditions import scope_parameters
from feature_sync.run_config import estimate_seconds, parse_run_config
from feature_sync.run_files import run_files, write_json
from feature_sync.settings import load_settings
from feature_sync.warehouse import Row, Warehouse

log = logging.getLogger(__name__)


def freeze_payload(conf: Mapping[str, Any], run_id: str) -> dict[str, Any]:
    """
    Write the values that this run sends, and those that stood in Salesforce before, to the payload table.

    Doing it again gives a new payload as long as no batch was tried, and changes nothing from then on.

    :param conf: the params of the DAG run.
    :returns: counts of the payload.
    :raises GuardError: the payload must not be sent.
    """
    config = parse_run_config(conf)
    settings = load_settings()
    with Warehouse(settings) as warehouse:
        warehouse.execute("create_payload_table")
        warehouse.execute("create_sync_log_table")
        warehouse.execute("create_rejection_table")
        warehouse.execute("delete_unsent_payload", {"run_id": run_id})
        warehouse.execute("freeze_payload", {**scope_parameters(config), "run_id": run_id, "batch_size": config.batch_size})
        facts = warehouse.fetch_one("check_payload", {"run_id": run_id})
    if problems := payload_problems(facts, settings.fields):
        raise GuardError(problems)
    log.info("Frozen: %s records, %s of them without a feature row", f"{facts['records']:,}", f"{facts['records_unmatched']:,}")
    return {"records": facts["records"], "records_unmatched": facts["records_unmatched"]}


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
        expected = warehouse.fetch_one("check_payload", {"run_id": run_id})["records"]
        records = write_csv(full_csv, warehouse.stream("select_payload", {"run_id": run_id}))
    if records != expected:
        raise CsvError(f"{full_csv.name} has {records:,} records, the payload {expected:,}. Clear this task to write it again.")
    log.info("Written: %s records to %s", f"{records:,}", full_csv)
    return {"folder": str(files.folder), "full_csv": str(full_csv), "records": records}


def plan_batches(conf: Mapping[str, Any], run_id: str, day: date) -> list[dict[str, Any]]:
    """
    Cut the full CSV into the files of the batches and write the preview.

    :returns: the batches, as `Batch.as_xcom` gives them.
    :raises PlanError: the payload's batches do not cover it.
    """
    config = parse_run_config(conf)
    settings = load_settings()
    files = run_files(settings, run_id)
    with Warehouse(settings) as warehouse:
        rows = warehouse.fetch_all("select_batches", {"run_id": run_id})
        facts = warehouse.fetch_one("check_payload", {"run_id": run_id})
        summary = warehouse.fetch_one("summarize_payload", {"run_id": run_id})
    batches = [Batch(row["batch_number"], row["first_record"], row["last_record"]) for row in rows]
    check_plan(batches, facts["records"], config.batch_size)
    split_csv(files.full_csv(day), files.batch_folder, batches)
    seconds = estimate_seconds(len(batches), config.wait_seconds)
    totals = {
        "run_id": run_id,
        "records": facts["records"],
        "records_unmatched": facts["records_unmatched"],
        "batches": len(batches),
        "estimated_seconds": seconds,
    }
    write_json(files.preview, totals | {"products": _preview_products(summary, settings.fields)})
    log.info("Planned: %s batches in %s, about %s minutes", len(batches), files.batch_folder, f"{seconds / 60:,.0f}")
    return [batch.as_xcom() for batch in batches]


def _preview_products(summary: Row, fields: FieldTable) -> list[dict[str, Any]]:
    return [
        {
            "product": product.name,
            "label": product.label,
            "enabled_now": summary[f"{product.name}_now"],
            "enabled_after": summary[f"{product.name}_after"],
            "to_enable": summary[f"{product.name}_to_enable"],
            "to_disable": summary[f"{product.name}_to_disable"],
        }
        for product in fields.products
    ]
