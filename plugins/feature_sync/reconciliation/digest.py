"""The message about a weekly run that went well: its numbers, and what changed since the one before it."""

from typing import TYPE_CHECKING

from feature_sync.config.names import RECONCILIATION_DAG_ID
from feature_sync.config.settings import AlertLevel, Settings
from feature_sync.config.wording import count_of
from feature_sync.orchestration import channel
from feature_sync.reconciliation.acceptances import Acceptances
from feature_sync.reconciliation.drift import Drift
from feature_sync.reconciliation.verdict import count_differences

if TYPE_CHECKING:
    import pandas as pd


def send_digest(
    settings: Settings, run_id: str, drift: Drift, history: "pd.DataFrame", acceptances: Acceptances, *, healed: int | None
) -> bool:
    """
    Send the digest of a run that went well, if WEEKLY_DIGEST is on.

    :param drift: the comparison at the end of the run. :param history: see `feature_sync.reconciliation.history.history_table`.
    :param healed: how many records the run has sent again, or None.
    :returns: whether it was sent.
    """
    if not settings.weekly_digest:
        return False
    title = f"The weekly run is green: {count_of(drift.properties_checked, 'property', 'was', 'were')} compared"
    lines = [
        f"DAG: {RECONCILIATION_DAG_ID}",
        f"Run: {run_id}",
        "",
        f"{count_differences(drift)}.",
        *([f"Sent again in this run: {count_of(healed, 'record')}."] if healed else []),
        *changes_since(run_id, drift, history),
        *acceptances.sentences,
        "",
        f"Run: {channel.page('dags', RECONCILIATION_DAG_ID, 'runs', run_id)}",
    ]
    return channel.deliver(AlertLevel.INFO, title, "\n".join(lines), is_success=True)


def changes_since(run_id: str, drift: Drift, history: "pd.DataFrame") -> list[str]:
    """What this run found at first, beside what the one before it had found: a sentence for each product that changed."""
    own, others = history[history["run_id"] == run_id], history[history["run_id"] != run_id]
    if own.empty or others.empty:
        return ["There is no earlier run to compare with."]
    last_at = others["checked_at"].max()
    before = others[others["checked_at"] == last_at].set_index("product")["mismatched"]
    now = own.set_index("product")["mismatched"]
    changed = [
        f"{each.label}: {int(now[each.product]):,} properties differed, {int(before[each.product]):,} the last time."
        for each in drift.products
        if each.product in before and each.product in now and now[each.product] != before[each.product]
    ]
    when = f"Found at first, compared with the run of {last_at:%Y-%m-%d}:"
    return [when, *changed] if changed else [f"{when} each product has as many properties that differ."]
