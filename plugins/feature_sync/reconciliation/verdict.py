"""What the drift means and what is done about it: counts in, verdict out."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from feature_sync.backfill.scope import STATUS_CURE
from feature_sync.config.asked import OVERRIDES, lost_parameters
from feature_sync.config.run_config import DEFAULTS
from feature_sync.config.settings import HealingMode
from feature_sync.config.wording import count_of
from feature_sync.reconciliation.drift import UNHEALABLE, Drift, DriftClass
from feature_sync.storage.warehouse import Row

HEALS: Mapping[str, Any] = {"scope": "mismatched", "dry_run": False}
"""What a run that heals is asked for, whatever its pace. A run that does not say would be a dry run."""


@dataclass(frozen=True, slots=True)
class Finding:
    """
    What a comparison passes on to the tasks after it.

    ``heals``: the records that differ are sent again.
    ``question``: what a person has to approve before that, in Markdown, or None. ``subject``: the same in one line.
    ``run_config``: of the backfill that heals.
    ``approves``: the numbers that the question is about. The backfill may not go beyond them.
    ``reason``: why they are healed or not, in words.
    ``mismatched``: how many properties a run with scope mismatched would send.
    """

    heals: bool
    question: str | None
    run_config: Mapping[str, Any]
    reason: str
    mismatched: int
    subject: str = ""
    approves: Mapping[str, Any] | None = None

    def as_xcom(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_xcom(cls, value: Mapping[str, Any]) -> "Finding":
        """:param value: perhaps of a former version, whose config says nothing of a dry run because that was not the default."""
        return cls(**{**value, "run_config": {**HEALS, **value["run_config"]}})


@dataclass(frozen=True, slots=True)
class Steps:
    """
    How the steps of a reconciliation ended: Airflow's state of each task, or None if it has none.

    ``replica``: waiting for the replica. ``comparison``: comparing. ``approval``: asking a person. ``healing``: sending again.
    """

    replica: str | None
    comparison: str | None
    approval: str | None
    healing: str | None

    @property
    def have_compared(self) -> bool:
        """Whether something was compared, on a replica that was fresh."""
        return self.replica == self.comparison == "success"


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    What is done about the records that differ.

    ``heals``: they are sent again, after an approval if it ``asks``. ``reason``: why, or why not.
    """

    heals: bool
    asks: bool
    reason: str


def decide(drift: Drift, mode: HealingMode, records_limit: int, share_limit: float) -> Verdict:
    """
    Decide whether the records that differ are sent again.

    :param records_limit: largest number of records that ``auto`` heals.
    :param share_limit: largest share of all records that ``auto`` heals, 0 to 1.
    """
    records = drift.properties_to_send
    if not records:
        return Verdict(heals=False, asks=False, reason=_nothing_to_heal(drift))
    if mode is HealingMode.OFF:
        return Verdict(heals=False, asks=False, reason="HEALING is off; nothing is sent.")
    if mode is HealingMode.ASK:
        return Verdict(heals=True, asks=True, reason="HEALING is ask; a person decides.")
    over = []
    if records > records_limit:
        over.append(f"HEALING_RECORDS_LIMIT allows {records_limit:,}")
    if records > Fraction(str(share_limit)) * drift.properties_checked:
        over.append(f"HEALING_SHARE_LIMIT allows {share_limit:.2%}")
    of_all = f"{records:,} of {drift.properties_checked:,} records differ ({records / drift.properties_checked:.2%})"
    if over:
        return Verdict(heals=False, asks=False, reason=f"{of_all}; {' and '.join(over)}. That is too many to heal automatically.")
    return Verdict(heals=True, asks=False, reason=f"{of_all}, which is within the limits of HEALING=auto.")


def refuse_lost_parameters(verdict: Verdict, run_config: Mapping[str, Any]) -> Verdict:
    """
    On a site that lets no config replace the defaults of a run's params: heal only if the defaults are what is asked for.

    :param run_config: of the run that heals.
    """
    lost = lost_parameters(run_config, DEFAULTS)
    if not verdict.heals or not lost:
        return verdict
    asked = ", ".join(f"{name} as {run_config[name]!r}" for name in lost)
    reason = (
        f"The healing is refused, because its run would not use what is asked for: {asked}. Airflow's option {OVERRIDES} is off; "
        "it must be True. Nothing is sent."
    )
    return Verdict(heals=False, asks=False, reason=reason)


def _nothing_to_heal(drift: Drift) -> str:
    if not drift.properties_mismatched:
        return "No record differs in a feature field; there is nothing to heal."
    if not drift.properties_new:
        return "Every record that differs is accepted; nothing is sent."
    return "Every record with a new difference is left alone; nothing is sent."


def outcome_of_healing(found: Finding, steps: Steps) -> Verdict:
    """
    The verdict after the healing, if there was one.

    :param found: the comparison before it.
    """
    asks = found.question is not None
    if steps.approval == "failed":
        return Verdict(heals=False, asks=asks, reason="The healing was not approved; nothing was sent.")
    match steps.healing:
        case "success":
            return Verdict(heals=True, asks=asks, reason="The records that differed were sent again.")
        case "failed":
            return Verdict(heals=False, asks=asks, reason="The healing failed: look at the task `heal`.")
        case "skipped" if found.heals:
            return Verdict(heals=False, asks=asks, reason="No record differed any more when the healing was about to start.")
        case _:
            return Verdict(heals=False, asks=asks, reason=found.reason)


def count_differences(drift: Drift) -> str:
    """Both numbers, as every place shows them: "5 differences: 2 new, 3 accepted"."""
    return f"{count_of(drift.differences, 'difference')}: {drift.differences_new:,} new, {drift.differences_accepted:,} accepted"


def with_accepted(drift: Drift, kind: DriftClass) -> str:
    """A class's new differences as a sentence, and how many more of it are accepted."""
    accepted = drift.accepted(kind)
    return kind.found(drift.new(kind)) + (f" (and {accepted:,} accepted)" if accepted else "")


def name_unmatched(rows: Sequence[Row]) -> str:
    """:param rows: of ``reconciliation/select_unmatched_features.sql``."""
    return ", ".join(
        repr(row["property_id"]) + (f" (like {row['resembles']!r})" if row["resembles"] is not None else "") for row in rows
    )


def class_cures(unknown_statuses: str, unmatched_features: str) -> dict[DriftClass, str]:
    """
    What a person does about a class of differences that no backfill can correct.

    :param unknown_statuses: :param unmatched_features: as in `drift_problems`.
    """
    return {
        DriftClass.MISSING_IN_SALESFORCE: "The regular property sync has to create them; look at its last runs in Census.",
        DriftClass.MISSING_IN_WAREHOUSE: "Is the properties table complete? If it is: are these records still needed?",
        DriftClass.KEY_MISMATCH: "Correct the keys in Salesforce, or repeated ids in the properties table.",
        DriftClass.AMBIGUOUS_FEATURES: "Correct the feature table, or set FEATURES_ORDER_COLUMN to a column that says which row "
        "is the newest. Until then no run sends these records.",
        DriftClass.TRUE_THROUGH_SIBLING: "Their records are left alone. If the product of a sibling counts, set "
        "TWINS=any_active_sibling; if it does not, send them by scope property_ids.",
        DriftClass.UNMATCHED_FEATURES: f"They are such as {unmatched_features}. A blank or another case in an id of the feature "
        "table is enough. Or the properties table lacks rows. Correct the tables: until then these products look switched off.",
        DriftClass.UNKNOWN_IN_SALESFORCE: "Nobody can say whether they are right. May the replication read these fields, and has "
        "it copied them again since they were added?",
        DriftClass.UNKNOWN_IN_WAREHOUSE: "A checkbox cannot be empty, and False would be a guess, so no run sends their records. "
        "Fill the flags in the feature table.",
        DriftClass.UNKNOWN_STATUS: f"They are {unknown_statuses}. {STATUS_CURE}",
    }


def drift_problems(drift: Drift, verdict: Verdict, unknown_statuses: str = "", unmatched_features: str = "") -> list[str]:
    """
    Find what is still wrong at the end of a reconciliation: a sentence for each problem, with what to do.

    Differences that a person has accepted are no problem. The sentences count them too.

    :param unknown_statuses: the statuses that no setting knows, with counts, see `name_statuses`.
    :param unmatched_features: examples of what the feature table names and the properties table lacks.
    """
    problems = []
    if not drift.properties_checked:
        problems.append("No record was checked: the replica of Salesforce, or the properties table, is empty. Look at both.")
    if drift.properties_new:
        found = "; ".join(with_accepted(drift, kind) for kind in DriftClass if kind not in UNHEALABLE and drift.new(kind))
        accepted = f" (and {drift.properties_accepted:,} accepted)" if drift.properties_accepted else ""
        problems.append(
            f"{drift.properties_new:,} of {drift.properties_checked:,} properties differ from the warehouse{accepted}: {found}. "
            f"{verdict.reason} To send them again, start product_feature_backfill with scope=mismatched; if its guards refuse "
            "them, it says which guard refuses and what to do."
        )
    if drift.properties_held_back:
        held_back = count_of(drift.properties_held_back, "property", "has", "have")
        problems.append(
            f"{held_back} a new difference beside one that is accepted, or beside a flag that is True through a sibling "
            "or empty in the feature table. "
            "No run with scope=mismatched sends them. To send them with all their fields, name them by scope=property_ids."
        )
    cures = class_cures(unknown_statuses, unmatched_features)
    problems += [
        f"{with_accepted(drift, kind)}. {cure} A backfill cannot correct that." for kind, cure in cures.items() if drift.new(kind)
    ]
    return problems
