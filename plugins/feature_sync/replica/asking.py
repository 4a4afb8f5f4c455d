"""Asks Salesforce itself what it holds of a run's records: of all if the run is small, of a sample if it is large."""

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from feature_sync.config.fields import FeatureField
from feature_sync.config.names import SALESFORCE_CONN_ID
from feature_sync.config.wording import count_of
from feature_sync.salesforce.comparison import Comparison, compare
from feature_sync.salesforce.errors import SalesforceError, SalesforceNotAllowedError
from feature_sync.salesforce.models import RecordsRead
from feature_sync.salesforce.read_back import rows_of
from feature_sync.salesforce.reader import new_reader
from feature_sync.storage.evidence import Purpose, record_read_backs
from feature_sync.storage.warehouse import Warehouse

if TYPE_CHECKING:
    from feature_sync.salesforce.hook import SalesforceReader

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """
    What of a run was read from Salesforce itself.

    ``records``: how many were asked for. ``found``: of how many Salesforce has shown something. ``at``: when all records of the
    run were read; None if they are validated from the replica.
    ``sample``: what the sample of a larger run says, or None. ``why_not``: why nothing was read, or not everything.
    """

    records: int = 0
    found: int = 0
    at: datetime | None = None
    sample: Comparison | None = None
    why_not: str = ""

    @property
    def bound_at(self) -> str | None:
        """For a statement."""
        return self.at.isoformat() if self.at else None

    @property
    def note(self) -> str:
        """From where the values in Salesforce are known, in a sentence or two."""
        if self.at:
            shown = "" if self.found == self.records else f", of which it shows {self.found:,}"
            return (
                f"Read from Salesforce itself at {self.at:%Y-%m-%d %H:%M:%S} UTC: {count_of(self.records, 'record')}{shown}. "
                "The replica was not used."
            )
        if self.sample is None:
            return f"Read from the replica alone: {self.why_not}."
        return (
            f"Read from the replica. Of the records that it shows as right, {self.records:,} were read from Salesforce itself "
            f"too, and {_differ(self.sample) if self.sample.differences else 'all are right'}."
        )

    @property
    def problems(self) -> list[str]:
        """What the sample says against the replica."""
        if self.sample is None or not self.sample.differences:
            return []
        return [
            f"Of {count_of(self.records, 'record')} that the replica shows as right, {_differ(self.sample)} in "
            f"Salesforce itself: {self.sample.summary} Somebody has changed them, or the replica is wrong. Look one up in "
            "Salesforce, then clear `validate`."
        ]

    def as_json(self) -> dict[str, Any]:
        return {
            "source": "salesforce" if self.at else "replica",
            "records_read_from_salesforce": self.records,
            "records_differing_in_sample": len(self.sample.keys) if self.sample else None,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class RunReader:
    """Reads the records of a run from Salesforce over one login, and keeps what it held in the warehouse."""

    warehouse: Warehouse
    run_id: str
    salesforce: "SalesforceReader" = field(default_factory=new_reader)

    def keys_to_ask(self) -> tuple[list[str], str]:
        """
        The upsert keys of the run's records, if Salesforce itself is asked for all of them.

        :returns: the keys, and an empty text; or no key, and why the replica is used.
        :raises SalesforceError: Salesforce does not answer, or refuses the login.
        """
        limit = self.warehouse.settings.validate_by_asking_records
        if not limit:
            return [], "VALIDATE_BY_ASKING_RECORDS is 0"
        if why_not := self._why_not():
            return [], why_not
        rows = self.warehouse.fetch_all("replica/select_run_keys", {"run_id": self.run_id, "most": limit + 1})
        if len(rows) > limit:
            return [], f"the run has more than {limit:,} records (VALIDATE_BY_ASKING_RECORDS)"
        return [row[self._key] for row in rows], "" if rows else "the run has no record"

    def ask(self) -> Asked:
        """
        Read all records of a small run. The records of a larger one are not read here, see `ask_sample`.

        :raises SalesforceError: Salesforce does not answer, or refuses the login.
        """
        keys, why_not = self.keys_to_ask()
        if not keys:
            return Asked(why_not=why_not)
        read_at = datetime.now(UTC)
        read = self._read(keys, Purpose.VALIDATION, read_at)
        if read.unreadable:
            raise SalesforceNotAllowedError(f"Salesforce does not show {', '.join(sorted(read.unreadable))}.")
        return Asked(records=len(keys), found=sum(bool(found) for found in read.records.values()), at=read_at)

    def ask_sample(self, before: Asked) -> Asked:
        """
        Read some of the records that the replica shows as right.

        :param before: of the same run: why it is not validated from Salesforce alone.
        :raises SalesforceError: Salesforce does not answer, or refuses the login.
        """
        settings = self.warehouse.settings
        if not settings.validation_sample_records or self._why_not():
            return before
        values = {"run_id": self.run_id, "asked_at": None, "most": settings.validation_sample_records}
        sent = {row[self._key]: row for row in self.warehouse.fetch_all("replica/select_sample", values)}
        if not sent:
            return before
        read = self._read(list(sent), Purpose.SAMPLE, datetime.now(UTC))
        return Asked(records=len(sent), sample=compare(sent, read, settings.fields), why_not=before.why_not)

    def _why_not(self) -> str:
        """Why Salesforce cannot be asked for the values of a record; empty if it can."""
        settings = self.warehouse.settings
        if not self.salesforce.is_configured():
            return f"there is no connection {SALESFORCE_CONN_ID}"
        try:
            described = self.salesforce.describe(settings.salesforce_object)
        except SalesforceNotAllowedError as refused:
            return str(refused).rstrip(".")
        hidden = [each.salesforce_name for each in self._compared if described.find(each.salesforce_name) is None]
        if hidden:
            return f"Salesforce does not show {', '.join(hidden)} to the user of connection {SALESFORCE_CONN_ID}"
        return ""

    def _read(self, keys: list[str], purpose: Purpose, read_at: datetime) -> RecordsRead:
        settings = self.warehouse.settings
        fields = settings.fields
        read = self.salesforce.read_records(
            settings.salesforce_object,
            fields.upsert_key.salesforce_name,
            keys,
            [each.salesforce_name for each in self._compared],
        )
        record_read_backs(self.warehouse, self.run_id, purpose, read_at, rows_of(read.records, fields))
        return read

    @property
    def _compared(self) -> tuple[FeatureField, ...]:
        """The fields by which a record is found and compared."""
        fields = self.warehouse.settings.fields
        return (fields.upsert_key, *fields.features)

    @property
    def _key(self) -> str:
        return self.warehouse.settings.fields.upsert_key.column


def _differ(sample: Comparison) -> str:
    return f"{len(sample.keys):,} {'differs' if len(sample.keys) == 1 else 'differ'}"


def ask_about_run(reader: RunReader, *, is_replica_fresh: bool) -> Asked:
    """
    Read the records of a run from Salesforce, if it is small enough and there is a connection.

    :param is_replica_fresh: whether the replica shows what the run sent, so that it can be used instead.
    :raises SalesforceError: Salesforce does not answer, and the replica cannot be used instead.
    """
    try:
        return reader.ask()
    except SalesforceError as error:
        if not is_replica_fresh:
            raise
        log.warning("Salesforce itself could not be asked, so the replica is used, which shows what was sent. %s", error)
        return Asked(why_not=str(error).rstrip("."))


def ask_for_sample(reader: RunReader, before: Asked) -> Asked:
    """Read a sample of a run that is validated from the replica. If Salesforce does not answer, the note says so."""
    try:
        return reader.ask_sample(before)
    except SalesforceError as error:
        log.warning("No sample was read from Salesforce. %s", error)
        return Asked(why_not=str(error).rstrip("."))


def why_replica(warehouse: Warehouse, run_id: str) -> str:
    """Why the validation of a run needs the replica; empty if Salesforce itself will be asked for all of its records."""
    try:
        keys, why_not = RunReader(warehouse, run_id).keys_to_ask()
    except SalesforceError as error:
        return str(error).rstrip(".")
    return "" if keys else why_not
