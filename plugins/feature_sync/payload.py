"""From the scope to batches: the payload is frozen in the warehouse, checked, exported, cut. No row passes through Airflow."""

import logging
from collections.abc import Mapping
from datetime import date
from typing import Any

from feature_sync.batches import MAX_SIBLINGS, Batch, check_plan, first_sizes
from feature_sync.csv_files import CsvError, split_csv, write_csv
from feature_sync.guards import GuardError
from feature_sync.payload_guards import Thresholds, mass_disable_problems, payload_problems
from feature_sync.preconditions import scope_parameters
from feature_sync.preview import Preview, approval_body, product_changes
from feature_sync.probing import find_fallback, probe_report
from feature_sync.run_config import Strategy, count_batches, estimate_seconds, parse_run_config
from feature_sync.run_files import run_files, write_json
from feature_sync.settings import Settings, load_settings
from feature_sync.sync_log import SyncLog
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
    own: Parameters = {"run_id": run_id, "batch_size": config.batch_size, "strategy": config.strategy.value}
    with Warehouse(settings) as warehouse:
        warehouse.execute("delete_unsent_payload", {"run_id": run_id})
        if config.undo_run_id is None:
            warehouse.execute("freeze_payload", {**scope_parameters(config), **own})
        else:
            undone: Parameters = {"undo_run_id": config.undo_run_id}
            if not SyncLog(warehouse).last_attempts(run_id):  # afterwards it would also list what this run has put back
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
        batches = 1 if config.strategy is Strategy.FULL else count_batches(facts["records"], config.batch_size)
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
            refused = [] if config.allow_mass_disable else [f"{problem} {cure}" for problem in mass_disable]
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


def plan_probes(conf: Mapping[str, Any], run_id: str, day: date) -> list[dict[str, Any]]:
    """
    Cut the full CSV into the files of the batches as they are before anything is known of larger ones.

    :returns: the probes to send, as `Batch.as_xcom` gives them; none but in strategy ``probe``, and none in a dry run.
    :raises PlanError: the payload is not cut as planned.
    """
    config = parse_run_config(conf)
    settings = load_settings()
    files = run_files(settings, run_id)
    with Warehouse(settings) as warehouse:
        batches = _read_batches(warehouse, run_id)
    check_plan(batches, first_sizes(config.strategy, sum(batch.records for batch in batches), config.batch_size))
    split_csv(files.full_csv(day), files.batch_folder, batches)
    log.info("Strategy %s: %s batches, their files are in %s", config.strategy, len(batches), files.batch_folder)
    if config.dry_run:
        log.info("Dry run: none of them is sent. What would change: the log of check_payload, and %s", files.preview)
    if config.strategy is not Strategy.PROBE or config.dry_run:
        return []
    return [batch.as_xcom() for batch in batches]


def plan_batches(conf: Mapping[str, Any], run_id: str) -> list[dict[str, Any]]:
    """
    Say which batches are left to send after the probes, if there were any, and write ``probe.json`` then.

    :returns: the batches, as `Batch.as_xcom` gives them; none in a dry run, or when the probes have sent all.
    :raises ProbeError: even the smallest probe went over a limit.
    """
    config = parse_run_config(conf)
    settings = load_settings()
    if config.dry_run:
        log.info("Dry run: no batch is sent")
        return []
    with Warehouse(settings) as warehouse:
        if config.strategy is Strategy.PROBE:
            batches = _split_rest(warehouse, run_id, config.batch_size)
        else:
            batches = _read_batches(warehouse, run_id)
    crowded = [batch for batch in batches if batch.siblings > MAX_SIBLINGS]
    if crowded and config.strategy is not Strategy.FULL:
        log.warning(
            "%s batches have more than %s records beyond the first of each parent, up to %s; their parents have too many records "
            "in this run to spread them further: %s",
            len(crowded),
            MAX_SIBLINGS,
            max(batch.siblings for batch in crowded),
            ", ".join(f"{batch.number:03d}" for batch in crowded),
        )
    log.info("%s batches to send", len(batches))
    return [batch.as_xcom() for batch in batches]


def _read_batches(warehouse: Warehouse, run_id: str) -> list[Batch]:
    return [Batch(**row) for row in warehouse.fetch_all("select_batches", {"run_id": run_id})]


def _split_rest(warehouse: Warehouse, run_id: str, batch_size: int) -> list[Batch]:
    """The batches in which goes what the probes left; none when no probe went over a limit."""
    files = run_files(warehouse.settings, run_id)
    records = warehouse.fetch_one("summarize_payload", {"run_id": run_id})["records"]
    sizes = first_sizes(Strategy.PROBE, records, batch_size)
    attempts = SyncLog(warehouse).last_attempts(run_id)
    fallback = find_fallback(sizes, attempts)
    batches: list[Batch] = []
    if fallback:
        warehouse.execute(
            "split_rest",
            {
                "run_id": run_id,
                "over_limit": fallback.over_limit,
                "attempt": fallback.attempt,
                "probes": len(sizes),
                "batch_size": fallback.batch_size,
            },
        )
        batches = [batch for batch in _read_batches(warehouse, run_id) if batch.number > len(sizes)]
        for batch in batches:
            one: Parameters = {"run_id": run_id, "batch_number": batch.number}
            write_csv(files.batch_folder / batch.file_name, warehouse.stream("select_batch", one))
    report = probe_report(sizes, attempts, fallback, len(batches))
    write_json(files.probe, report)
    for probe in report["tried"]:
        log.info("Probe of %s records: %s. %s", f"{probe['records']:,}", probe["outcome"], probe["reason"] or "")
    if fallback:
        log.warning("Falls back to batches of %s, because of %s", fallback.batch_size, report["why"])
    return batches


def _thresholds(settings: Settings) -> Thresholds:
    return Thresholds(
        feature_row_share=settings.guard_feature_row_share,
        disable_share=settings.guard_disable_share,
        enabled_records=settings.guard_enabled_records,
        earliest_date=settings.guard_earliest_date,
    )
