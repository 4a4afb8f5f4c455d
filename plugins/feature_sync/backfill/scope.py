"""Which records a run covers: counted, and checked before anything is written."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from feature_sync.config.problems import NotReadyError, RunConfigError
from feature_sync.config.run_config import RunConfig, Scope, show
from feature_sync.config.wording import count_of
from feature_sync.forecast.duration import count_batches, forecast
from feature_sync.replica.state import read_replica_state
from feature_sync.sending.sync_log import SyncLog
from feature_sync.storage.warehouse import Parameters, Row, Warehouse

STATUS_CURE = (
    "Correct it in the properties table if it is a typing error. If it is right, add it to UNSYNCED_STATUSES if its properties "
    'do not belong in Salesforce, and to KNOWN_STATUSES if they do. There "" stands for an empty status.'
)


def scope_parameters(config: RunConfig) -> Parameters:
    """The values that ``fragments/records_in_scope.sql`` binds."""
    return {
        "scope": config.scope.value,
        "created_from": config.created_from.isoformat() if config.created_from else None,
        "created_to": config.created_to.isoformat() if config.created_to else None,
        "property_ids": ",".join(config.property_ids),
        "skip_unmatched": config.skips_unmatched,
    }


@dataclass(frozen=True, slots=True)
class RunScope:
    """
    What a run covers.

    ``records``: how many records it sends.
    ``nothing_to_do``: if that is none, because everything is as the run should leave it: what was looked at, as a sentence.
    """

    records: int
    nothing_to_do: str | None = None


def count_scope(warehouse: Warehouse, config: RunConfig, max_batches: int) -> RunScope:
    """
    Count the records of a run.

    :param max_batches: Airflow's ``[core] max_map_length``.
    :raises RunConfigError: the scope is empty, too large, or names unknown ids or an unknown run.
    :raises NotReadyError: the run to undo has not finished yet.
    """
    found = _find_scope(warehouse, config)
    if found.nothing_to_do is None:
        check_size(config, found.records, max_batches)
    return found


def nothing_to_do(warehouse: Warehouse, config: RunConfig) -> str | None:
    """
    Ask again whether there is nothing to do.

    :returns: the sentence of `RunScope`, or None if there is something to send, or the scope cannot be used.
    """
    try:
        return _find_scope(warehouse, config).nothing_to_do
    except (RunConfigError, NotReadyError):
        return None


def name_statuses(rows: Sequence[Row]) -> str:
    """:param rows: of ``backfill/select_unknown_statuses.sql``."""
    return ", ".join(
        f"{row['status']!r} ({row['properties']:,})" if row["status"] else f"empty ({row['properties']:,})" for row in rows
    )


def status_problems(warehouse: Warehouse) -> list[str]:
    """Find the properties of which nobody can say whether they belong in Salesforce."""
    rows = warehouse.fetch_all("backfill/select_unknown_statuses")
    if not rows:
        return []
    table = warehouse.settings.properties_table
    return [f"{table} has properties with a status that is not known: {name_statuses(rows)}. {STATUS_CURE}"]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """
    How many records in the scope of a run are not sent.

    ``records_without_property``: because the properties table does not have their property.
    ``records_with_key_mismatch``: because their two keys disagree, or another record has one of them too.
    ``records_ambiguous``: because the feature table has unequal rows of their property.
    ``records_with_unknown_flag``: because the feature table has an empty flag of their property. Only scope mismatched.
    ``records_true_through_sibling``: because a product is True through an ACTIVE sibling.
    ``records_accepted``: because a person has accepted a difference of theirs.
    """

    records_without_property: int = 0
    records_with_key_mismatch: int = 0
    records_ambiguous: int = 0
    records_with_unknown_flag: int = 0
    records_true_through_sibling: int = 0
    records_accepted: int = 0

    @property
    def records(self) -> int:
        return sum(asdict(self).values())

    @classmethod
    def from_reasons(cls, reasons: Mapping[str, int]) -> "LeftOut":
        """:param reasons: how many rows of the fragment ``records_left_out.sql`` have each reason."""
        return cls(**{_LEFT_OUT[reason]: count for reason, count in reasons.items()})


_LEFT_OUT = {
    "no_property": "records_without_property",
    "key_mismatch": "records_with_key_mismatch",
    "ambiguous_features": "records_ambiguous",
    "unknown_flag": "records_with_unknown_flag",
    "true_through_sibling": "records_true_through_sibling",
    "accepted": "records_accepted",
}


def count_records_left_out(warehouse: Warehouse, config: RunConfig) -> LeftOut:
    """Count the records in the scope of a run that are not sent."""
    rows = warehouse.fetch_all("backfill/count_records_left_out", scope_parameters(config))
    return LeftOut.from_reasons({row["reason"]: row["records"] for row in rows})


def check_size(config: RunConfig, records: int, max_batches: int) -> None:
    """
    Refuse a scope without records, or with more batches than Airflow can map.

    :param records: how many Salesforce records are in scope.
    :param max_batches: Airflow's ``[core] max_map_length``.
    :raises RunConfigError: saying how many there are, how long it would take and what to change.
    """
    if records == 0:
        raise RunConfigError([f"No record is in scope: {config.description}. There is nothing to send."])
    expected = forecast(records, config.strategy, config.batch_size, config.wait_seconds)
    if expected.batches > max_batches:
        hours = expected.seconds / 3600
        enough = count_batches(records, max_batches)
        raise RunConfigError(
            [
                f"{records:,} records in batches of {config.batch_size} are {expected.batches:,} batches, about "
                f"{hours:,.0f} hours; Airflow maps at most {max_batches:,} ([core] max_map_length). Narrow the scope, raise "
                f"batch_size to {enough} or more if the Flow allows it, or raise max_map_length."
            ]
        )


def _uncertain_reasons(warehouse: Warehouse, left_out: LeftOut) -> list[str]:
    """Why no scope covers some records, with what to do: a sentence for each reason."""
    settings = warehouse.settings
    reasons = {
        f"{settings.properties_table} does not have the property. Is that table complete? If it is: are these records still "
        "needed?": left_out.records_without_property,
        "the two keys disagree, or another record has one of them too. Correct the keys in Salesforce, or repeated ids in "
        f"{settings.properties_table}.": left_out.records_with_key_mismatch,
        f"{settings.features_table} has unequal rows of the property, or one that misspells its id. Correct that table, "
        "or set FEATURES_ORDER_COLUMN to a column that says which of unequal rows is the newest.": left_out.records_ambiguous,
        f"{settings.features_table} has an empty flag of the property. Fill it there.": left_out.records_with_unknown_flag,
    }
    return [f"{count_of(count, 'record', 'is', 'are')} left out, because {reason}" for reason, count in reasons.items() if count]


def _refuse_unknown_ids(warehouse: Warehouse, config: RunConfig) -> None:
    unknown = warehouse.fetch_all("backfill/select_unknown_ids", {"property_ids": ",".join(config.property_ids)})
    if unknown:
        total = unknown[0]["unknown"]
        named = ", ".join(row["property_id"] for row in unknown) + (" and others" if total > len(unknown) else "")
        raise RunConfigError([f"property_ids has {total:,} ids that no record in Salesforce has: {named}."])


def _find_scope(warehouse: Warehouse, config: RunConfig) -> RunScope:
    if config.undo_run_id is not None:
        _wait_for_run_to_undo(warehouse, config.undo_run_id)
        return _count_undo(warehouse, config.undo_run_id)
    if config.property_ids:
        _refuse_unknown_ids(warehouse, config)
    return _count_scope(warehouse, config)


def _count_scope(warehouse: Warehouse, config: RunConfig) -> RunScope:
    records = warehouse.fetch_one("backfill/count_scope", scope_parameters(config))["records"]
    if records:
        return RunScope(records)
    left_out = count_records_left_out(warehouse, config)
    if reasons := _uncertain_reasons(warehouse, left_out):
        raise RunConfigError([f"No record can be sent: {config.description}.", *reasons])
    if config.scope is not Scope.MISMATCHED:
        return RunScope(0)
    compared = warehouse.fetch_one("backfill/count_compared_records")
    if not compared["records"]:
        return RunScope(0)
    if unknown := compared["unknown_flags"]:
        raise RunConfigError(
            [
                f"No record can be sent: {config.description}.",
                f"{count_of(unknown, 'flag', 'is', 'are')} empty in "
                f"{warehouse.settings.salesforce_table}, so nobody can say whether these records differ. Repair the replication "
                "of these fields; the weekly run names the records.",
            ]
        )
    known = {
        "a difference that people have accepted": left_out.records_accepted,
        "a product that is True through an ACTIVE sibling": left_out.records_true_through_sibling,
    }
    skipped = " Records without a feature row were not looked at, because unmatched is skip." if config.skips_unmatched else ""
    beside = "".join(
        f" {count_of(count, 'record', 'is left as it is', 'are left as they are')}, with {what}."
        for what, count in known.items()
        if count
    )
    looked_at = count_of(compared["records"], "record")
    return RunScope(0, f"0 of {looked_at} in Salesforce differ from the warehouse.{beside}{skipped}")


def _count_undo(warehouse: Warehouse, undo_run_id: str) -> RunScope:
    counts = warehouse.fetch_one("backfill/count_undone_records", {"undo_run_id": undo_run_id})
    if not counts["records"]:
        known = ", ".join(row["run_id"] for row in warehouse.fetch_all("backfill/select_frozen_runs")) or "none"
        raise RunConfigError(
            [
                f"undo_run_id is {show(undo_run_id)}, but there is no payload of such a run. Payloads are kept for "
                f"{warehouse.settings.payload_days} days; the newest are of {known}."
            ]
        )
    if counts["as_before"] == counts["records"]:
        held = count_of(counts["records"], "record", "holds", "hold")
        return RunScope(0, f"Run {undo_run_id} left nothing to undo: {held} what Salesforce held before it.")
    if not counts["to_undo"]:
        unknown = (
            f" Before it, the replica did not know a flag of {counts['before_unknown']:,}." if counts["before_unknown"] else ""
        )
        raise RunConfigError(
            [
                f"undo_run_id is {show(undo_run_id)}, but none of its {counts['records']:,} records still holds what it sent: "
                f"{counts['as_before']:,} are as before it, {counts['not_sent']:,} it did not write, "
                f"{counts['changed_since']:,} were changed since, {counts['gone']:,} are gone.{unknown} There is nothing to undo."
            ]
        )
    return RunScope(counts["to_undo"])


def _wait_for_run_to_undo(warehouse: Warehouse, undo_run_id: str) -> None:
    """:raises NotReadyError: the run to undo has not finished, so its values would be mistaken for somebody else's."""
    problems = []
    attempts = SyncLog(warehouse).last_attempts(undo_run_id)
    if sending := [attempt.batch_number for attempt in attempts.values() if attempt.is_open]:
        named = ", ".join(f"{number:03d}" for number in sending)
        problems.append(f"Run {undo_run_id!r} is still sending batch {named}. Let it end first.")
    replica = read_replica_state(undo_run_id, warehouse.settings)
    if not replica.is_fresh:
        problems.append(
            f"{replica.records_stale:,} records that run {undo_run_id!r} sent are not yet in "
            f"{warehouse.settings.salesforce_table}. Start the run again when they are."
        )
    if problems:
        raise NotReadyError(problems)
