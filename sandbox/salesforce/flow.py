"""The costs of the record-triggered rollup Flow: governor limits of a transaction, and locks on the parents."""

from collections import Counter
from collections.abc import Sequence

from sandbox.settings import Settings

FLOW = "Product Property | After | Rollup Flow"


def _failed(reason: str, number: int) -> str:
    """Observed in a real org: every rejected row has this text when this Flow fails."""
    return (
        f'CANNOT_EXECUTE_FLOW_TRIGGER: We can\'t save this record because the "{FLOW}" process failed.\n\n'
        f"{reason}\nError ID: {1_000_000_000 + number}-{number:05d}"
    )


def limit_exceeded(number: int) -> str:
    return _failed("Limit Exceeded", number)


def unable_to_lock(number: int, record_id: str) -> str:
    return _failed(
        "This error occurred when the flow tried to update records: UNABLE_TO_LOCK_ROW: unable to obtain exclusive access "
        f"to this record or 200 records: {record_id}.",
        number,
    )


def breaks_a_limit(records: int, parents: Sequence[str | None], settings: Settings) -> bool:
    """
    True if a transaction of this many records exceeds a limit. Then all of its records fail and Salesforce does not try again.

    Salesforce help: Flow limits per transaction; "Maximum number of duplicate updates in one batch (12 allowed)". The costs of a
    record are invented: with them 50 records pass and 51 fail, as observed.

    :param parents: the company of each record. Only needed if `flow_duplicate_parents_limit` is on.
    """
    duplicates = sum(count - 1 for parent, count in Counter(parents).items() if parent is not None)
    return (
        records * settings.flow_soql_per_record > settings.flow_soql_limit
        or records * settings.flow_dml_per_record > settings.flow_dml_limit
        or records * settings.flow_cpu_ms_per_record > settings.flow_cpu_ms_limit
        or 0 < settings.flow_duplicate_parents_limit < duplicates
    )
