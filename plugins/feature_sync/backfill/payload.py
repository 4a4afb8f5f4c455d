"""The payload of a run: frozen in the warehouse, checked, exported. No row passes through Airflow."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

from feature_sync.backfill.payload_guards import (
    Approved,
    Guard,
    Holdings,
    Thresholds,
    mass_disable_problems,
    payload_problems,
)
from feature_sync.backfill.plan import assign_batches
from feature_sync.backfill.preview import Preview, approval_body, approval_subject, product_changes
from feature_sync.backfill.scope import LeftOut, count_records_left_out, nothing_to_do, scope_parameters
from feature_sync.census.access import census_hook
from feature_sync.census.errors import CensusError
from feature_sync.census.neighbours import ScheduledNeighbour, WriterRuns, scheduled_between
from feature_sync.config.names import HEALING_QUESTION, RECONCILIATION_DAG_ID
from feature_sync.config.problems import CsvError, GuardError, NotReadyError
from feature_sync.config.run_config import RunConfig, Scope, Strategy, parse_run_config
from feature_sync.config.settings import Settings, load_settings
from feature_sync.config.wording import count_of
from feature_sync.deployment.value_check import regular_sync_warnings
from feature_sync.forecast.duration import forecast
from feature_sync.pilot.rest import release_pilot
from feature_sync.sending.sync_log import SyncLog
from feature_sync.storage.evidence import read_approvals
from feature_sync.storage.freshness import read_freshness, refuse_unfit_tables
from feature_sync.storage.run_files import StoragePath, remove, run_files, write_json
from feature_sync.storage.warehouse import Warehouse

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

HEALING_DAYS = 7
"""How old the approval of a healing may be. The weekly run that waits for the healing ends before that."""


@dataclass(frozen=True, slots=True)
class CheckedPayload:
    """
    A payload that passed the guards.

    ``approval``: what a person has to approve before anything is sent, in Markdown, or None. ``subject``: the same in one line.
    ``products``: of each product, how many records have it now and how many will have it, for the page of the run.
    """

    records: int
    records_unmatched: int
    approval: str | None
    subject: str = ""
    products: list[dict[str, Any]] = field(default_factory=list)

    def as_xcom(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class OtherRun:
    """
    Another run that has frozen records of this one and comes before it, see ``backfill/select_other_runs.sql``.

    ``records``: those that both have. ``records_in_flight``: the other run may still be writing them.
    ``records_not_shown``: it has written them, and the replica does not show it yet.
    """

    run_id: str
    records: int
    records_in_flight: int
    records_not_shown: int


def freeze_payload(conf: Mapping[str, Any], run_id: str, is_unfinished: Callable[[str], bool] | None = None) -> dict[str, Any]:
    """
    Write the values that this run sends, and those that Salesforce holds before it, to the payload table, cut into batches.

    Until the first batch was tried, doing it again makes a new payload. After that it changes nothing. A run that undoes another
    one also writes ``records_not_undone.csv``: the records of that run that it leaves as they are, with the reason. Another run
    writes ``records_left_out.csv`` if it leaves out records in its scope.

    If another run has frozen some of the records and may still send them, the payload is removed and the run refused. A dry run
    only says so.

    :param conf: the params of the DAG run.
    :param is_unfinished: whether the DAG run with this id is queued or running. None: there is no Airflow, so no other run.
    :returns: how many records the payload has, and how many of its scope are left out, see `LeftOut`.
    :raises GuardError: a table that is read is not as it must be, or too old; or another run may still send some of the records.
    :raises NotReadyError: the replica does not show yet what another run has sent.
    """
    from feature_sync.storage.csv_files import write_csv  # noqa: PLC0415 - slow

    config = parse_run_config(conf)
    settings = load_settings()
    left_out = LeftOut()
    with Warehouse(settings) as warehouse:
        # Hours may have passed since the preconditions, for example if a person clears this task.
        refuse_unfit_tables(warehouse)
        warehouse.execute("backfill/delete_unsent_payload", {"run_id": run_id})
        if config.undo_run_id is None:
            warehouse.execute(
                "backfill/freeze_payload", {**scope_parameters(config), "run_id": run_id, "batch_size": config.batch_size}
            )
            left_out = _list_records_left_out(warehouse, config, run_files(settings, run_id).records_left_out)
        else:
            if not SyncLog(warehouse).last_attempts(run_id):  # later it would also list the records that this run has undone
                rows = warehouse.stream("backfill/select_records_not_undone", {"undo_run_id": config.undo_run_id})
                write_csv(run_files(settings, run_id).records_not_undone, rows)
            warehouse.execute(
                "backfill/freeze_undo",
                {"undo_run_id": config.undo_run_id, "run_id": run_id, "batch_size": config.batch_size},
            )
        if is_unfinished:
            _refuse_shared_records(warehouse, run_id, config, is_unfinished)
        records = warehouse.fetch_one("backfill/summarize_payload", {"run_id": run_id})["records"]
        assign_batches(warehouse, run_id, config, records)
        if is_unfinished:  # another run may have frozen in between; see the statement why asking twice is enough
            _refuse_shared_records(warehouse, run_id, config, is_unfinished)
    log.info("Frozen: %s records", f"{records:,}")
    return {"records": records, "left_out": asdict(left_out)}


def sharing_problems(runs: Sequence[OtherRun], is_unfinished: Callable[[str], bool], census_run_limit_seconds: int) -> list[str]:
    """
    Find the runs that may still send records of this run.

    :returns: a sentence for each, with what to do about it.
    """
    problems = []
    for run in runs:
        if is_unfinished(run.run_id):
            problems.append(
                f"Run {run.run_id!r} has not ended, and it has frozen {count_of(run.records, 'record')} of this run, which would "
                'be sent twice. Wait until it has ended, then start a new run. If it waits for an answer under "Required '
                'actions", answer it. If nobody needs it any more, mark it as failed: then it holds nothing back.'
            )
        elif run.records_in_flight:
            problems.append(
                f"Run {run.run_id!r} was stopped while {count_of(run.records_in_flight, 'record')} of this run went to "
                "Salesforce, and the outcome is not known. Clear the `send` task that was stopped: it resumes that Census run "
                "and sends nothing twice. Or start a new run when CENSUS_RUN_LIMIT_SECONDS "
                f"({census_run_limit_seconds:,} s) have passed since: then it holds nothing back."
            )
    return problems


def check_payload(
    conf: Mapping[str, Any],
    run_id: str,
    heals: Callable[[str], bool] | None = None,
    frozen: Mapping[str, Any] | None = None,
) -> CheckedPayload:
    """
    Write the preview and check the frozen payload with the guards. Release it, unless a person has to approve it first.

    Only a released payload can be staged. A payload that is refused is removed.

    If a person has approved in the weekly run that healing turns products off, nobody is asked for the same again. The approval
    table of the warehouse proves it. A payload that goes beyond the numbers of that question is refused.

    :param heals: whether this run was started to heal by the weekly run of this id. None: by none.
    :param frozen: what `freeze_payload` has returned. Without it, the records that are left out are counted again.
    :raises GuardError: the payload must not be sent; the message names each guard that it fails.
    """
    config = parse_run_config(conf)
    settings = load_settings()
    files = run_files(settings, run_id)
    with Warehouse(settings) as warehouse:
        facts = warehouse.fetch_one(
            "backfill/check_payload", {"run_id": run_id, "earliest_date": settings.guard_earliest_date.isoformat()}
        )
        summary = warehouse.fetch_one("backfill/summarize_payload", {"run_id": run_id})
        not_undone, left_out = 0, LeftOut()
        if config.undo_run_id is None:
            counted = (frozen or {}).get("left_out")
            left_out = LeftOut(**counted) if counted else count_records_left_out(warehouse, config)
        else:
            counts = warehouse.fetch_one("backfill/count_undone_records", {"undo_run_id": config.undo_run_id})
            not_undone = counts["records"] - facts["records"]
        expected = forecast(facts["records"], config.strategy, config.batch_size, config.wait_seconds)
        preview = Preview(
            run_id=run_id,
            purpose=config.purpose,
            dry_run=config.dry_run,
            nothing_to_do=None if facts["records"] else nothing_to_do(warehouse, config),
            records=facts["records"],
            records_unmatched=facts["records_unmatched"],
            records_not_undone=not_undone,
            batches=expected.batches,
            estimated_seconds=expected.seconds,
            products=product_changes(summary, settings.fields),
            neighbours=_neighbours_during(settings, expected.seconds),
            regular_sync=tuple(regular_sync_warnings(warehouse)),
            ages={each.table: str(each) for each in read_freshness(warehouse)},
            **asdict(left_out),
        )
        write_json(files.preview, preview.as_json())
        log.info("What would change in Salesforce (%s):\n%s", files.preview, preview.as_log())
        problems = payload_problems(
            facts,
            settings.fields,
            _thresholds(settings),
            undoes=config.undo_run_id is not None,
            may_be_empty=preview.nothing_to_do is not None,
        )
        mass_disable = _mass_disable_problems(settings, config, preview, facts, is_sound=not problems) if preview.records else []
        approved = _approved_healing(warehouse, heals) if mass_disable and config.allow_mass_disable and heals else None
        if approved:
            problems += approved.exceeded_by(preview.products, preview.records)
            mass_disable = [problem for problem in mass_disable if not problem.startswith(f"{Guard.MASS_DISABLE}:")]
            log.info("%s has approved the numbers of run %s, so nobody is asked for the same again", approved.by, approved.run_id)
        if problems or (mass_disable and not config.allow_mass_disable):
            warehouse.execute("backfill/revoke_payload", {"run_id": run_id})
            warehouse.execute("backfill/delete_unsent_payload", {"run_id": run_id})
            cure = "If that is intended, start a run with allow_mass_disable; a person then approves the numbers."
            refused = [] if config.allow_mass_disable else [f"{problem} {cure}" for problem in mass_disable]
            raise GuardError([*problems, *refused])
        question = approval_body(preview, mass_disable, config.undo_run_id) if mass_disable and not config.dry_run else None
        if question is None and not config.dry_run:
            _release_checked(warehouse, config, run_id)
    products = [
        {"product": each.product, "label": each.label, "now": each.enabled_now, "after": each.enabled_after}
        for each in preview.products
    ]
    subject = approval_subject(preview, config.undo_run_id) if question else ""
    return CheckedPayload(preview.records, preview.records_unmatched, question, subject, products)


def release_checked(conf: Mapping[str, Any], run_id: str) -> None:
    """Allow the payload of a run to be sent, after a person has approved its numbers. With strategy pilot: the pilot alone."""
    with Warehouse(load_settings()) as warehouse:
        _release_checked(warehouse, parse_run_config(conf), run_id)


def _release_checked(warehouse: Warehouse, config: RunConfig, run_id: str) -> None:
    if config.strategy is Strategy.PILOT:
        release_pilot(warehouse, run_id)
    else:
        warehouse.execute("backfill/release_payload", {"run_id": run_id})


def release_payload(run_id: str) -> None:
    """Allow all of the payload of a run to be sent."""
    with Warehouse(load_settings()) as warehouse:
        warehouse.execute("backfill/release_payload", {"run_id": run_id})


def export_csv(run_id: str, day: date) -> dict[str, Any]:
    """
    Write the frozen payload to the full CSV of the run.

    :param day: the UTC day in the file's name.
    :returns: the run's folder, the file and its number of records.
    :raises CsvError: the file and the payload have different numbers of records.
    """
    from feature_sync.storage.csv_files import write_csv  # noqa: PLC0415 - slow

    settings = load_settings()
    files = run_files(settings, run_id)
    full_csv = files.full_csv(day)
    with Warehouse(settings) as warehouse:
        expected = warehouse.fetch_one("backfill/summarize_payload", {"run_id": run_id})["records"]
        records = write_csv(full_csv, warehouse.stream("backfill/select_payload", {"run_id": run_id}))
    if records != expected:
        raise CsvError(f"{full_csv.name} has {records:,} records, the payload {expected:,}. Clear this task to write it again.")
    log.info("Written: %s records to %s", f"{records:,}", full_csv)
    return {"folder": str(files.folder), "full_csv": str(full_csv), "records": records}


def _refuse_shared_records(warehouse: Warehouse, run_id: str, config: RunConfig, is_unfinished: Callable[[str], bool]) -> None:
    settings = warehouse.settings
    runs = [OtherRun(**row) for row in warehouse.fetch_all("backfill/select_other_runs", {"run_id": run_id})]
    problems = sharing_problems(runs, is_unfinished, settings.census_run_limit_seconds)
    is_mismatched = config.undo_run_id is None and config.scope is Scope.MISMATCHED
    late = [
        f"Run {run.run_id!r} has sent {count_of(run.records_not_shown, 'record')} of this run, and {settings.salesforce_table} "
        f"does not show it yet, so {'they only seem to differ' if is_mismatched else 'what they hold now is not known'}."
        for run in runs
        if run.records_not_shown
    ]
    if config.dry_run:
        for problem in (*problems, *late):
            log.warning("Without dry_run this run would be refused: %s", problem)
    elif problems or late:
        warehouse.execute("backfill/delete_unsent_payload", {"run_id": run_id})
        raise GuardError([*problems, *late]) if problems else NotReadyError(late)


def _neighbours_during(settings: Settings, seconds: float) -> tuple[ScheduledNeighbour, ...] | None:
    """The other syncs that may start within ``seconds`` from now. None if Census could not be asked: a preview can do without."""
    try:
        neighbours = WriterRuns(census_hook(), settings.census_sync_id, settings.salesforce_object).neighbours
    except CensusError as error:
        log.warning("The syncs beside ours are not known: %s", error)
        return None
    return scheduled_between(neighbours, datetime.now(UTC), seconds)


def _list_records_left_out(warehouse: Warehouse, config: RunConfig, path: StoragePath) -> LeftOut:
    from feature_sync.storage.csv_files import write_csv  # noqa: PLC0415 - slow

    reasons: Counter[str] = Counter()

    def counted() -> "Iterator[pa.Table]":
        for rows in warehouse.stream("backfill/select_records_left_out", scope_parameters(config)):
            reasons.update(rows.column("reason").to_pylist())
            yield rows

    listed = counted()
    first = next(listed)
    if first.num_rows:
        records = write_csv(path, chain([first], listed))
        log.warning("Left out: %s in scope. The reasons are in %s", count_of(records, "record"), path)
    else:
        remove(path)  # of an earlier try
    return LeftOut.from_reasons(reasons)


def _approved_healing(warehouse: Warehouse, heals: Callable[[str], bool]) -> Approved | None:
    """What was approved for the healing that this run is, by the last answer. None if it is none, or nobody has approved."""
    rows = read_approvals(warehouse, RECONCILIATION_DAG_ID, HEALING_QUESTION, HEALING_DAYS)
    ours = [row for row in rows if heals(row["run_id"])]
    return Approved.from_row(ours[-1]) if ours else None


def _mass_disable_problems(
    settings: Settings, config: RunConfig, preview: Preview, facts: Mapping[str, Any], *, is_sound: bool
) -> list[str]:
    # An undo brings back what Salesforce held, so what is constant in it was constant there. If the payload is not sound, other
    # guards have said so already.
    names = [product.name for product in settings.fields.products]
    holdings = {name: Holdings(facts[f"{name}_true"], facts[f"{name}_false"], facts[f"{name}_in_warehouse"]) for name in names}
    return mass_disable_problems(
        preview.products,
        preview.records,
        _thresholds(settings),
        holdings if is_sound and config.undo_run_id is None else None,
        is_chosen_by_difference=config.scope is Scope.MISMATCHED,
    )


def _thresholds(settings: Settings) -> Thresholds:
    return Thresholds(
        feature_row_share=settings.guard_feature_row_share,
        disable_share=settings.guard_disable_share,
        product_disable_share=settings.guard_product_disable_share,
        product_disable_records=settings.guard_product_disable_records,
        constant_records=settings.guard_constant_records,
        unmatched_feature_rows=settings.guard_unmatched_feature_rows,
        unmatched_feature_share=settings.guard_unmatched_feature_share,
        enabled_records=settings.guard_enabled_records,
        earliest_date=settings.guard_earliest_date,
    )
