"""How often a statement reads each table, and how often it joins, as Spark plans it."""

import re
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from feature_sync.config.settings import Settings
from feature_sync.storage.marks import own_tables

PLANS = Path(__file__).with_name("plans.toml")
"""Of each statement. A part of a plan that Spark executes once and uses twice counts once."""


@dataclass(frozen=True, slots=True)
class Plan:
    """``scans``: by the name of the table. ``joins``: of all kinds."""

    scans: Mapping[str, int] = field(default_factory=dict)
    joins: int = 0

    @property
    def size(self) -> tuple[int, int]:
        return sum(self.scans.values()), self.joins


def read_plan(text: str, tables: Mapping[str, str]) -> Plan:
    """
    :param text: a physical plan of Spark. :param tables: the short name of each table.
    """
    scans = Counter(tables[name] for name in re.findall(r"BatchScan ([\w.]+)", text))
    return Plan(dict(sorted(scans.items())), len(re.findall(r"(?:SortMergeJoin|HashJoin|NestedLoopJoin|CartesianProduct)", text)))


def short_names(settings: Settings) -> dict[str, str]:
    """What plans.toml calls each table."""
    read = {
        settings.salesforce_table: "replica",
        settings.properties_table: "properties",
        settings.features_table: "features",
    }
    return read | {table.name: table.definition for table in own_tables(settings)}


def known_plans() -> dict[str, Plan]:
    """Of plans.toml, by statement."""
    return {
        name: Plan(dict(sorted((table, scans) for table, scans in counts.items() if table != "joins")), counts.get("joins", 0))
        for name, counts in tomllib.loads(PLANS.read_text()).items()
    }


def as_lines(plans: Mapping[str, Plan]) -> list[str]:
    """The lines of plans.toml."""
    return [
        f'"{name}" = {{ '
        + ", ".join(f"{what} = {count}" for what, count in {**plan.scans, "joins": plan.joins}.items() if count)
        + " }"
        for name, plan in sorted(plans.items())
        if plan.size != (0, 0)
    ]
