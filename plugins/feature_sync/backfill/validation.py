"""The verdict of a run: does Salesforce hold what the run sent? Never from counters alone."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from feature_sync.backfill.plan import read_batches
from feature_sync.backfill.scope import nothing_to_do
from feature_sync.config.fields import FieldTable
from feature_sync.config.names import BACKFILL_DAG_ID
from feature_sync.config.run_config import RunConfig, Strategy, parse_run_config
from feature_sync.config.settings import load_settings
from feature_sync.config.wording import count_of
from feature_sync.deployment.value_check import regular_sync_warnings
from feature_sync.pilot.rest import read_rest
from feature_sync.replica.asking import RunReader, ask_about_run, ask_for_sample
from feature_sync.replica.mismatches import NO_CAUSES, Causes, write_mismatches
from feature_sync.report.answers import read_answers
from feature_sync.report.facts import Origin, cause_counts
from feature_sync.report.open_records import OpenRecords
from feature_sync.report.page import render_backfill, try_to_read, try_to_write
from feature_sync.report.runs import validation_report
from feature_sync.sending.batches import Attempt, AttemptStatus, Batch
from feature_sync.sending.outcome import CLEAR_RUN, left_out_reason
from feature_sync.sending.rejections import export_rejections
from feature_sync.sending.sync_log import SyncLog
from feature_sync.storage.run_files import run_files, write_json
from feature_sync.storage.tables import prepare_tables
from feature_sync.storage.warehouse import Row, Warehouse

log = logging.getLogger(__name__)


def clear_the_batches(batches: int) -> str:
    """What to do about batches that did not succeed, in the words of Airflow's dialogs."""
    return (
        f"Next: remove the cause, then {CLEAR_RUN}; it shows at least {batches + 1} affected tasks, the batches and this one. "
        "If it shows fewer, a batch was marked or skipped: clear its `send` task with Downstream. Only the records that were not "
        "accepted are sent again, and this check runs again."
    )


class SalesforceDiffersError(RuntimeError):
    """
    Salesforce does not hold what the run should have written. The message has the numbers and what to do next.

    :param is_explained: nothing is wrong but that batches were not sent, and each of them has a task that says why.
    """

    def __init__(self, message: str, *, is_explained: bool = False) -> None:
        super().__init__(message)
        self.is_explained = is_explained


class NothingToValidateError(RuntimeError):
    """The run failed before it came to its batches."""


@dataclass(frozen=True, slots=True)
class Validation:
    """
    A run that did its job: the result in words, how many properties were checked, and the files with the details.

    ``proves_equality``: whether the result says that Salesforce and the warehouse agree. An undo makes them differ, and a run
    that had nothing to do sent nothing.
    """

    result: str
    properties_checked: int
    validation: str
    mismatches: str
    proves_equality: bool

    def as_xcom(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Books:
    """
    The outcome of every record in scope.

    ``accepted_by_counters``: those of the sent records of which only Census's counters say that they were accepted.
    ``changed_since_freeze``: those of the rejected records that were never sent, because somebody had changed them in Salesforce.
    """

    in_scope: int
    sent: int
    rejected: int
    not_sent: int
    accepted_by_counters: int = 0
    changed_since_freeze: int = 0

    @property
    def balance(self) -> bool:
        return self.sent + self.rejected + self.not_sent == self.in_scope


def validate(
    conf: Mapping[str, Any], run_id: str, origin: Origin | None = None, tell: Callable[[Mapping[str, Any]], None] | None = None
) -> Validation:
    """
    Compare every record of the run with Salesforce. Write ``validation.json``, ``mismatches.csv``, ``rejected_records.csv``,
    ``rejected_then_accepted.csv`` and ``report.html``.

    If the run is small and there is a connection, Salesforce itself says what it holds. Otherwise the replica does, and a sample
    is read from Salesforce itself.

    The records of a run that undoes another one are held against the values from before that run, and nothing is said about the
    warehouse. If the run has no record, it is asked again whether there is nothing to do.

    :param conf: the params of the DAG run.
    :param origin: where the run comes from, for the report.
    :param tell: called with what ``validation.json`` holds, whatever the verdict is.
    :raises SalesforceDiffersError: a batch did not succeed, a property differs, or nothing was checked. The files are written
        even so.
    """
    config = parse_run_config(conf)
    settings = load_settings()
    files = run_files(settings, run_id)
    aim = Aim(config)
    origin = origin or Origin(BACKFILL_DAG_ID, run_id)
    open_records = OpenRecords(settings.fields)
    with Warehouse(settings) as warehouse:
        prepare_tables(warehouse)  # a run may have waited while a version came that has more columns
        planned = read_batches(warehouse, run_id)
        replica = warehouse.fetch_one("replica/check_replica", {"run_id": run_id})
        reader = RunReader(warehouse, run_id)
        asked = ask_about_run(reader, is_replica_fresh=not replica["records_stale"])
        compared = {"run_id": run_id, "asked_at": asked.bound_at}
        facts = warehouse.fetch_one("backfill/validate_payload", compared)
        if not asked.at:
            asked = ask_for_sample(reader, asked)
        attempts = SyncLog(warehouse).last_attempts(run_id)
        rest = read_rest(warehouse, run_id) if config.strategy is Strategy.PILOT else None
        nothing = None if planned or attempts or facts["properties_checked"] else nothing_to_do(warehouse, config)
        if config.undo_run_id:
            sync_id = settings.census_property_sync_id
            regular_sync = [
                f"The regular sync (Census sync {sync_id}) sends what the warehouse says. Its next run may replace what "
                "was restored."
            ]
        else:
            regular_sync = regular_sync_warnings(warehouse)
        mismatches = warehouse.stream("backfill/select_mismatches", compared)
        causes = write_mismatches(
            files.mismatches, mismatches, settings, was_asked=asked.at is not None, watch=open_records.watch
        )
        export_rejections(warehouse, run_id, watch=open_records.watch)
        before = try_to_read(lambda: warehouse.fetch_one("backfill/summarize_payload", {"run_id": run_id}))
        answers = try_to_read(lambda: read_answers(warehouse, origin))
    books = balance_books(planned, attempts)
    report = {
        **_report(run_id, replica, facts, books, causes, fields=settings.fields, aim=aim),
        "compared_with": asked.as_json(),
        "regular_sync": regular_sync,
        "nothing_to_do": nothing,
    }
    if nothing:
        report["result"] = f"Nothing to do. {nothing}"
    write_json(files.validation, report)
    if tell:
        tell(report)
    log.info("%s\nRESULT: %s", "\n".join([asked.note, *_table(report, aim), *causes.table]), report["result"])
    for warning in regular_sync:
        log.warning("%s", warning)
    cure = rest.cure if rest and rest.records_waiting else None
    problems = run_problems(planned, attempts, books, facts, causes, expected=aim.expected, cure=cure)
    problems += asked.problems
    succeeded = sum(batch.number in attempts and attempts[batch.number].status.is_success for batch in planned)
    try_to_write(
        files.report,
        lambda: render_backfill(
            validation_report(
                report,
                config=config,
                origin=origin,
                before=before,
                fields=settings.fields,
                expected=aim.expected,
                problems=problems,
                open_records=open_records.listed(
                    facts["properties_mismatched"], (files.mismatches.name, files.rejected_records.name)
                ),
                causes=cause_counts(causes.rows),
                answers=answers,
                askable=settings.approval_users,
                batches={"batches": len(planned), "batches that succeeded": succeeded},
            )
        ),
    )
    if not nothing and problems:
        details = ", ".join([str(files.validation), files.mismatches.name, files.rejected_records.name, files.report.name])
        raise SalesforceDiffersError(
            "\n".join([*problems, f"Details: {details}"]),
            is_explained=is_explained(planned, attempts, books, facts) and not asked.problems,
        )
    return Validation(
        report["result"],
        facts["properties_checked"],
        str(files.validation),
        str(files.mismatches),
        proves_equality=not nothing and not config.undo_run_id,
    )


@dataclass(frozen=True, slots=True)
class Aim:
    """What a run is for: to repair, or to undo another run. Evidence names it, and what was compared."""

    config: RunConfig

    @property
    def undo_run_id(self) -> str | None:
        return self.config.undo_run_id

    @property
    def expected(self) -> str:
        """What Salesforce is held against, as the end of a sentence."""
        return f"the values from before run {self.undo_run_id}" if self.undo_run_id else "the warehouse"

    @property
    def key(self) -> str:
        """The name in ``validation.json`` of how many records should have a product."""
        return "enabled_before_that_run" if self.undo_run_id else "enabled_in_warehouse"

    def result(self, checked: int, mismatched: int) -> str:
        if self.undo_run_id:
            return f"{checked - mismatched:,} of {checked:,} properties hold {self.expected} again"
        return f"{count_of(mismatched, 'property')} with mismatched feature data"


def balance_books(batches: Iterable[Batch], attempts: Mapping[int, Attempt]) -> Books:
    """
    Count every record of a run as sent, rejected or not sent.

    Records that an earlier attempt wrote to Salesforce count as sent. If the rows of an attempt are not known for sure, its
    records count as not sent.

    :param attempts: the last attempt at each batch, by batch number.
    """
    in_scope = sent = rejected = by_counters = changed = 0
    for batch in batches:
        in_scope += batch.records
        attempt = attempts.get(batch.number)
        if attempt is None:
            continue
        if attempt.status is AttemptStatus.OVER_LIMIT:
            left = records_left(batch, attempt)
            sent += batch.records - left
            rejected += left
            continue
        sent += batch.records - attempt.records
        if attempt.status.is_success:
            sent += attempt.records
            by_counters += attempt.records if attempt.status is AttemptStatus.ACCEPTED_BY_COUNTERS else 0
        elif attempt.records_rejected is not None:
            sent += attempt.records - attempt.records_rejected
            rejected += attempt.records_rejected
            changed += attempt.records_changed or 0
    return Books(in_scope, sent, rejected, in_scope - sent - rejected, by_counters, changed)


def records_left(batch: Batch, attempt: Attempt) -> int:
    """How many of a probe's rejected rows have not been moved into a smaller batch."""
    return (attempt.records_rejected or 0) - (attempt.records - batch.records)


def run_problems(
    batches: Iterable[Batch],
    attempts: Mapping[int, Attempt],
    books: Books,
    facts: Mapping[str, Any],
    causes: Causes = NO_CAUSES,
    *,
    expected: str = "the warehouse",
    cure: str | None = None,
) -> list[str]:
    """
    Decide whether the run did its job.

    :param facts: the row of ``backfill/validate_payload.sql``.
    :param causes: of what differs.
    :param expected: what Salesforce was held against.
    :param cure: what to do about batches that did not succeed, if it is not to clear them.
    :returns: a sentence for each problem, the sums first.
    """
    failed = []
    for batch in batches:
        attempt = attempts.get(batch.number)
        if attempt and attempt.status is AttemptStatus.OVER_LIMIT and not records_left(batch, attempt):
            continue
        if attempt is None or not attempt.status.is_success:
            reason = (attempt and attempt.reason) or ("its outcome is not known" if attempt else "it was never sent")
            failed.append(f"{batch.label} did not succeed: {reason}")
    problems = []
    if failed:
        problems.append(
            f"{count_of(len(failed), 'batch')} did not succeed: of {books.in_scope:,} records {books.sent:,} were sent, "
            f"{books.rejected:,} rejected and {books.not_sent:,} not sent."
        )
        problems.append(cure or clear_the_batches(len(failed)))
    if books.changed_since_freeze:
        problems.append(left_out_reason(books.changed_since_freeze))
    if min(books.sent, books.rejected, books.not_sent) < 0 or not books.balance:
        problems.append(f"The books do not balance: {books}.")
    if facts["properties_checked"] != books.in_scope or not facts["properties_checked"]:
        problems.append(f"{facts['properties_checked']:,} properties were checked, but {books.in_scope:,} are in scope.")
    if facts["properties_mismatched"]:
        problems.append(
            f"{facts['properties_mismatched']:,} of {facts['properties_checked']:,} properties differ from {expected}."
        )
        problems += [causes.sentence] if causes.sentence else []
    return problems + failed


def is_explained(batches: Iterable[Batch], attempts: Mapping[int, Attempt], books: Books, facts: Mapping[str, Any]) -> bool:
    """
    Whether nothing is wrong with a run but that batches were not sent, or that nobody knows what became of them. The tasks of
    these batches have failed and said why.

    Rejected records, books that do not balance, and records that differ although they were sent are more than that.
    """
    lasts = [attempts.get(batch.number) for batch in batches]
    unsent = (AttemptStatus.NOT_SENT, AttemptStatus.HALTED, AttemptStatus.SENDING)
    return (
        all(last is None or last.status.is_success or last.status in unsent for last in lasts)
        and books.balance
        and books.rejected == 0
        and facts["properties_checked"] == books.in_scope
        and facts["properties_checked"] > 0
        and facts["properties_mismatched"] <= books.not_sent
    )


def _report(
    run_id: str, replica: Row, facts: Row, books: Books, causes: Causes, *, fields: FieldTable, aim: Aim
) -> dict[str, Any]:
    synced_at = replica["synced_at"]
    return {
        "run_id": run_id,
        "purpose": aim.config.purpose,
        "undo_run_id": aim.undo_run_id,
        "checked_at": replica["checked_at"].isoformat(),
        "mirror_synced_at": synced_at and synced_at.isoformat(),
        "properties_checked": facts["properties_checked"],
        "properties_mismatched": facts["properties_mismatched"],
        "result": aim.result(facts["properties_checked"], facts["properties_mismatched"]),
        "fields_mismatched": causes.total,
        "causes": causes.as_json(),
        "causes_note": causes.note,
        "records": asdict(books),
        "products": [
            {
                "product": product.name,
                "label": product.label,
                "enabled_in_salesforce": facts[f"{product.name}_in_salesforce"],
                aim.key: facts[f"{product.name}_in_warehouse"],
                "mismatched": facts[f"{product.name}_mismatched"],
            }
            for product in fields.products
        ],
    }


def _table(report: Mapping[str, Any], aim: Aim) -> list[str]:
    expected = "before that run" if aim.undo_run_id else "in warehouse"
    head = f"{'product':<24}{'in Salesforce':>15}{expected:>17}{'mismatched':>12}"
    rows = [
        f"{row['label']:<24}{row['enabled_in_salesforce']:>15,}{row[aim.key]:>17,}{row['mismatched']:>12,}"
        for row in report["products"]
    ]
    lines = [head, *rows]
    if count := report["records"]["accepted_by_counters"]:
        lines.append(
            f"{count:,} of {report['records']['sent']:,} records sent were accepted by Census's counters alone, because its row "
            "records never came. The numbers above include their values in Salesforce."
        )
    return lines
