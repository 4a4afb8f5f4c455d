"""Which records a pilot has: some of every kind, and always the same ones of the same payload."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from feature_sync.config.fields import FieldTable
from feature_sync.storage.warehouse import Warehouse

PILOT_BATCH = 1
"""The batch that is the pilot."""
SENTINELS = "sentinel records"
"""The stratum of the records that everybody knows, by the name of ``fragments/pilot_strata.sql``."""


@dataclass(frozen=True, slots=True)
class Stratum:
    """
    A kind of records that a pilot should have. A record may belong to several.

    ``records``: how many of them the run has. ``chosen``: how many of these are in the pilot.
    """

    label: str
    records: int
    chosen: int

    def __str__(self) -> str:
        return f"{self.label}: {self.chosen:,} of {self.records:,}"


def place_pilot(warehouse: Warehouse, run_id: str, batch_size: int) -> None:
    """Give the pilot's records the first places of a frozen payload. Once a record has a batch, it changes nothing."""
    warehouse.execute("pilot/assign_pilot", {"run_id": run_id, "batch_size": batch_size, "sentinels": _sentinels(warehouse)})


def read_strata(warehouse: Warehouse, run_id: str) -> list[Stratum]:
    """The strata of a run. One that has no record is not there."""
    rows = warehouse.fetch_all("pilot/count_strata", {"run_id": run_id, "sentinels": _sentinels(warehouse)})
    return [Stratum(label_of(row["stratum"], warehouse.settings.fields), row["records"], row["chosen"]) for row in rows]


def read_pilot(warehouse: Warehouse, run_id: str) -> list[Mapping[str, Any]]:
    """The rows of ``pilot/select_pilot.sql``: the pilot's records, once for each stratum."""
    return list(warehouse.fetch_all("pilot/select_pilot", {"run_id": run_id, "sentinels": _sentinels(warehouse)}))


def describe_choice(strata: Iterable[Stratum], sentinels: Sequence[str]) -> str:
    """
    What the pilot has, for the log.

    :param sentinels: the ids that the setting names.
    """
    found = list(strata)
    lines = [f"- {stratum}" for stratum in found]
    in_run = next((stratum.records for stratum in found if stratum.label == SENTINELS), 0)
    if in_run < len(sentinels):
        lines.append(f"- PILOT_SENTINELS names {len(sentinels):,} properties; this run has {in_run:,} of them")
    return "\n".join(["The pilot has, of the records of each kind:", *lines])


def label_of(stratum: str, fields: FieldTable) -> str:
    """What people call a stratum: a product by its label."""
    return next((product.label for product in fields.products if product.name == stratum), stratum)


def _sentinels(warehouse: Warehouse) -> str:
    return ",".join(warehouse.settings.pilot_sentinels)
