"""How the records of a run are cut into batches, and the files of these batches.

The sizes of batches are computed here and nowhere else; the warehouse puts records into batches of these sizes.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, assert_never

from feature_sync.backfill.probing import find_fallback, probe_report
from feature_sync.config.names import BACKFILL_DAG_ID
from feature_sync.config.run_config import RunConfig, Strategy, parse_run_config
from feature_sync.config.settings import Settings, load_settings
from feature_sync.config.wording import count_of
from feature_sync.forecast.duration import count_batches, forecast
from feature_sync.pilot.choice import PILOT_BATCH, describe_choice, place_pilot, read_strata
from feature_sync.pilot.rest import refuse_unreleased
from feature_sync.report.facts import Origin
from feature_sync.report.page import render_backfill, try_to_write
from feature_sync.report.runs import dry_run_report
from feature_sync.sending.batches import Batch, PlannedChanges
from feature_sync.sending.sync_log import SyncLog
from feature_sync.storage.run_files import read_json, run_files, write_json
from feature_sync.storage.warehouse import Warehouse

log = logging.getLogger(__name__)

Tell = Callable[[Mapping[str, Any]], None]
"""Called with what the planned batches change, as `PlannedChanges.as_note` returns it. Not called if there is no batch."""

MAX_SIBLINGS = 12
"""
Records of one transaction that are not the first one of their parent.

A rollup Flow updates the parent once for each of them. Salesforce's help, "Flow limits": "Maximum number of duplicate updates
in one batch (12 allowed)".
"""


class PlanError(RuntimeError):
    """The frozen payload is not cut as planned."""


def batch_sizes(strategy: Strategy, records: int, batch_size: int) -> list[int]:
    """
    How many records each batch has, in the order in which the batches are sent.

    - ``batched`` and ``pilot``: ``batch_size`` records each, the last batch has the remaining ones;
    - ``full``: one batch with all records;
    - ``probe``: ``batch_size`` records, twice as many, all the rest. Each shows whether a larger batch works.
    """
    match strategy:
        case Strategy.FULL:
            wanted = [records]
        case Strategy.PROBE:
            wanted = [batch_size, 2 * batch_size, records]
        case Strategy.BATCHED | Strategy.PILOT:
            wanted = [batch_size] * count_batches(records, batch_size)
        case _:
            assert_never(strategy)
    sizes: list[int] = []
    left = records
    for size in wanted:
        sizes.append(min(size, left))
        left -= sizes[-1]
    return [size for size in sizes if size > 0]


def check_plan(batches: Sequence[Batch], sizes: Sequence[int]) -> None:
    """
    Read back what the warehouse made of the sizes: the batches must follow each other without gap or overlap.

    :param sizes: as `batch_sizes` returns them.
    :raises PlanError: naming the first batch that is different.
    """
    first = 1
    for number, size in enumerate(sizes, start=1):
        expected = (number, first, first + size - 1, size)
        found = batches[number - 1] if number <= len(batches) else None
        if found is None or (found.number, found.first, found.last, found.records) != expected:
            raise PlanError(
                f"Batch {number:03d} should be records {first}-{first + size - 1}, but is {found.label if found else 'missing'}."
            )
        first += size
    if len(batches) > len(sizes):
        raise PlanError(f"{batches[len(sizes)].label} is one batch too many; {first - 1:,} records are planned.")


def assign_batches(warehouse: Warehouse, run_id: str, config: RunConfig, records: int) -> None:
    """
    Put the records of a frozen payload into batches. Records that are in a batch stay there. A pilot is the first batch.

    :param records: how many records the payload has.
    """
    sizes = batch_sizes(config.strategy, records, config.batch_size)
    if sizes and config.strategy is Strategy.PILOT:
        place_pilot(warehouse, run_id, config.batch_size)
    if sizes:
        warehouse.execute("backfill/assign_batches", {"run_id": run_id, "sizes": _as_text(sizes)})


def read_batches(warehouse: Warehouse, run_id: str) -> list[Batch]:
    """
    The batches of a run, in the order in which they are sent.

    :raises PlanError: a record of the payload is in no batch.
    """
    rows = warehouse.fetch_all("backfill/select_batches", {"run_id": run_id})
    if left := sum(row["records"] for row in rows if row["number"] is None):
        raise PlanError(f"{left:,} records of the payload are in no batch. Start a new run.")
    return [Batch.from_row(row) for row in rows]


def plan_probes(conf: Mapping[str, Any], run_id: str, tell: Tell | None = None) -> list[dict[str, Any]]:
    """
    Write the CSV of each planned batch: the records of the full CSV, but read from the payload, because another worker may have
    written that file.

    :param tell: called with what the probes, or the pilot, change.
    :returns: the probes, or the pilot, as `Batch.as_xcom` returns them. Empty with any other strategy, and in a dry run.
    :raises PlanError: the payload is not cut as planned.
    """
    from feature_sync.storage.csv_files import write_csv_parts  # noqa: PLC0415 - slow

    config = parse_run_config(conf)
    settings = load_settings()
    files = run_files(settings, run_id)
    with Warehouse(settings) as warehouse:
        batches = read_batches(warehouse, run_id)
        check_plan(batches, batch_sizes(config.strategy, sum(batch.records for batch in batches), config.batch_size))
        rows = warehouse.stream("backfill/select_payload", {"run_id": run_id})
        write_csv_parts(files.batch_folder, ((batch.file_name, batch.records) for batch in batches), rows)
        if config.strategy is Strategy.PILOT:
            log.info("%s", describe_choice(read_strata(warehouse, run_id), settings.pilot_sentinels))
    log.info("Strategy %s: %s; the files are in %s", config.strategy, count_of(len(batches), "batch"), files.batch_folder)
    if config.dry_run:
        log.info("Dry run: no batch is sent. The log of `check_payload` and %s show what would change", files.preview)
    if config.dry_run:
        return []
    tried = {Strategy.PROBE: len(batches), Strategy.PILOT: PILOT_BATCH}.get(config.strategy, 0)
    return _planned(batches[:tried], tell)


def plan_batches(
    conf: Mapping[str, Any], run_id: str, origin: Origin | None = None, tell: Tell | None = None
) -> list[dict[str, Any]]:
    """
    Say which batches remain to be sent. After probes, write ``probe.json``. A dry run ends here, so write its ``report.html``.

    :param origin: where the run comes from, for the report.
    :param tell: called with what the batches change.
    :returns: the batches, as `Batch.as_xcom` returns them. Empty in a dry run, and if the probes or the pilot have sent
        everything.
    :raises ProbeError: even the smallest probe exceeded a limit.
    :raises PilotError: nobody has approved the pilot.
    """
    config = parse_run_config(conf)
    settings = load_settings()
    if config.dry_run:
        log.info("Dry run: no batch is sent")
        path = run_files(settings, run_id).report
        try_to_write(path, lambda: _dry_run_page(settings, config, origin or Origin(BACKFILL_DAG_ID, run_id)))
        log.info("What it would change: %s", path)
        return []
    with Warehouse(settings) as warehouse:
        if config.strategy is Strategy.PROBE:
            batches = _assign_rest(warehouse, run_id, config.batch_size)
        else:
            batches = read_batches(warehouse, run_id)
        if config.strategy is Strategy.PILOT:
            refuse_unreleased(warehouse, run_id)
            batches = [batch for batch in batches if batch.number > PILOT_BATCH]
    crowded = [batch for batch in batches if batch.siblings > MAX_SIBLINGS]
    if crowded and config.strategy is not Strategy.FULL:
        log.warning(
            "In %s more than %s records are not the first one of their parent, up to %s. These parents have too many "
            "records in this run to spread them further: %s",
            count_of(len(crowded), "batch"),
            MAX_SIBLINGS,
            max(batch.siblings for batch in crowded),
            ", ".join(f"{batch.number:03d}" for batch in crowded),
        )
    log.info("%s to send", count_of(len(batches), "batch"))
    return _planned(batches, tell)


def _planned(batches: Sequence[Batch], tell: Tell | None) -> list[dict[str, Any]]:
    if batches and tell:
        tell(PlannedChanges.of(batches).as_note())
    return [batch.as_xcom() for batch in batches]


def _dry_run_page(settings: Settings, config: RunConfig, origin: Origin) -> str:
    with Warehouse(settings) as warehouse:
        summary = warehouse.fetch_one("backfill/summarize_payload", {"run_id": origin.run_id})
        batches = read_batches(warehouse, origin.run_id)
    preview = read_json(run_files(settings, origin.run_id).preview)  # says what is left out; without it the page does not
    report = dry_run_report(
        summary,
        preview,
        config=config,
        origin=origin,
        written_at=datetime.now(UTC),
        fields=settings.fields,
        batches=len(batches),
        seconds=forecast(summary["records"], config.strategy, config.batch_size, config.wait_seconds).seconds,
        askable=settings.approval_users,
    )
    return render_backfill(report)


def _assign_rest(warehouse: Warehouse, run_id: str, batch_size: int) -> list[Batch]:
    """The batches for the records that the probes left. Empty if no probe exceeded a limit."""
    from feature_sync.storage.csv_files import write_csv  # noqa: PLC0415 - slow

    files = run_files(warehouse.settings, run_id)
    records = warehouse.fetch_one("backfill/summarize_payload", {"run_id": run_id})["records"]
    sizes = batch_sizes(Strategy.PROBE, records, batch_size)
    attempts = SyncLog(warehouse).last_attempts(run_id)
    fallback = find_fallback(sizes, attempts)
    batches: list[Batch] = []
    if fallback:
        most_left = sum(sizes[fallback.over_limit - 1 :])
        warehouse.execute(
            "backfill/assign_rest",
            {
                "run_id": run_id,
                "over_limit": fallback.over_limit,
                "attempt": fallback.attempt,
                "probes": len(sizes),
                "sizes": _as_text(batch_sizes(Strategy.BATCHED, most_left, fallback.batch_size)),
            },
        )
        batches = [batch for batch in read_batches(warehouse, run_id) if batch.number > len(sizes)]
        for batch in batches:
            rows = warehouse.stream("backfill/select_batch", {"run_id": run_id, "batch_number": batch.number})
            write_csv(files.batch_folder / batch.file_name, rows)
    report = probe_report(sizes, attempts, fallback, len(batches))
    write_json(files.probe, report)
    for probe in report["tried"]:
        log.info("Probe of %s records: %s. %s", f"{probe['records']:,}", probe["outcome"], probe["reason"] or "")
    if fallback:
        log.warning("Falls back to batches of %s, because of %s", fallback.batch_size, report["why"])
    return batches


def _as_text(sizes: Iterable[int]) -> str:
    return ",".join(str(size) for size in sizes)
