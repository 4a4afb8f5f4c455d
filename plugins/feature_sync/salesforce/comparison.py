"""Whether Salesforce holds what was sent, value by value. Unknown is never equal: it has its own words."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

from feature_sync.config.fields import FeatureField, FieldKind, FieldTable
from feature_sync.config.wording import count_of
from feature_sync.salesforce.errors import SalesforceProtocolError
from feature_sync.salesforce.models import RecordsRead, SalesforceRecord

Values = Mapping[str, Any]
"""The values of a record by column, as the warehouse has them: bool, date, datetime, str or None."""
MAX_EXAMPLES = 3
"""Records that a message names for each field."""
MAX_FIELDS = 5
"""Fields that a message names."""
NOTHING = "nothing"


class Unknown(StrEnum):
    """Why nobody can say what a record or a value in Salesforce is."""

    NO_RECORD = "Salesforce shows no record with this key"
    SEVERAL_RECORDS = "several records in Salesforce have this key"
    EMPTY_FLAG = "the checkbox is empty in Salesforce"
    EMPTY_FLAG_SENT = "an empty checkbox was sent"


@dataclass(frozen=True, slots=True)
class Difference:
    """
    A field of a record that holds something else than what was sent, or of which nobody can say what it holds.

    ``field``: its API name, or empty if the whole record is unknown.
    ``unknown``: why nothing is known; None if ``found`` is what Salesforce holds.
    ``record``: the record in Salesforce, or None if there is none or if there are several.
    """

    key: str
    field: str
    expected: Any = None
    found: Any = None
    unknown: Unknown | None = None
    record: SalesforceRecord | None = None

    def __str__(self) -> str:
        return f"{self.name}: {self.field}: {self.found_instead}" if self.field else f"{self.name}: {self.unknown}"

    @property
    def name(self) -> str:
        """The key, and the record's id if there is one record."""
        return f"{self.key} ({self.record.id})" if self.record else self.key

    @property
    def found_instead(self) -> str:
        """What was sent, what was found, and who changed the record last."""
        parts = [f"sent {_shown(self.expected)}", self.unknown or f"found {_shown(self.found)}"]
        said = ", ".join(parts)
        if self.record is None:
            return said
        by = self.record.modified_by or "nobody whose name is shown"
        return f"{said}, changed last by {by} at {_shown(self.record.modified_at)}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """
    What a look at some records says.

    ``differences``: in the order of the records, then of the fields.
    ``unreadable``: API names of fields that were not compared, because the user of the connection does not see them.
    ``found``: what was seen, as `RecordsRead` has it.
    """

    records: int
    differences: tuple[Difference, ...]
    unreadable: tuple[str, ...] = ()
    found: Mapping[str, tuple[SalesforceRecord, ...]] = dataclasses.field(default_factory=dict)

    @property
    def keys(self) -> tuple[str, ...]:
        """Of the records that are not known to be as they were sent."""
        return tuple(dict.fromkeys(each.key for each in self.differences))

    @property
    def summary(self) -> str:
        """A sentence for each field, and for each reason why a record is unknown. Those of most records come first."""
        groups = Counter((each.field, each.unknown) for each in self.differences)
        sentences = []
        for group, count in groups.most_common(MAX_FIELDS):
            some = [each for each in self.differences if (each.field, each.unknown) == group][:MAX_EXAMPLES]
            field, unknown = group
            head = f"{field} in {count_of(count, 'record')}" if field else f"{unknown}"
            examples = [f"{each.name}: {each.found_instead}" if field else each.name for each in some]
            more = [f"and {count - len(some):,} more"] if count > len(some) else []
            sentences.append(f"{head}: {'; '.join([*examples, *more])}.")
        if len(groups) > MAX_FIELDS:
            sentences.append(f"And {count_of(len(groups) - MAX_FIELDS, 'other field')}; the log names them.")
        return " ".join(sentences)


def compare(expected: Mapping[str, Values], read: RecordsRead, fields: FieldTable) -> Comparison:
    """
    Compare what was sent with what Salesforce holds.

    A flag that is empty on one side is unknown: it is neither equal nor different. A date may be empty; then it is equal to
    another empty one. A time counts in whole seconds, as Salesforce keeps it. ``fragments/differs.sql`` says the same of the
    replica.

    :param expected: the values that were sent, by upsert key and column.
    :param read: the records with these keys.
    """
    columns = {each.column: each for each in fields}
    differences: list[Difference] = []
    for key, values in expected.items():
        match read.records.get(key, ()):
            case ():
                differences.append(Difference(key, "", unknown=Unknown.NO_RECORD))
            case (record,):
                sent = [(columns[column], value) for column, value in values.items()]
                differences += _differences(
                    key, [pair for pair in sent if pair[0].salesforce_name not in read.unreadable], record
                )
            case _:
                differences.append(Difference(key, "", unknown=Unknown.SEVERAL_RECORDS))
    unreadable = tuple(each.salesforce_name for each in fields if each.salesforce_name in read.unreadable)
    return Comparison(len(expected), tuple(differences), unreadable, read.records)


def _differences(key: str, sent: Iterable[tuple[FeatureField, Any]], record: SalesforceRecord) -> list[Difference]:
    found = []
    for field, value in sent:
        held = record.values[field.salesforce_name]
        unknown = _unknown(field, value, held)
        if unknown or not are_equal(field, value, held):
            found.append(Difference(key, field.salesforce_name, value, held, unknown, record))
    return found


def _unknown(field: FeatureField, value: Any, held: Any) -> Unknown | None:
    if field.kind is not FieldKind.CHECKBOX:
        return None
    if value is None:
        return Unknown.EMPTY_FLAG_SENT
    return Unknown.EMPTY_FLAG if held is None else None


def are_equal(field: FeatureField, value: Any, held: Any) -> bool:
    """
    Whether Salesforce holds a value.

    :param value: as the warehouse has it.
    :param held: as JSON has it. A value of another type than the field's is never equal.
    """
    if value is None or held is None:
        return value is held
    match field.kind:
        case FieldKind.CHECKBOX:
            return isinstance(held, bool) and held == value
        case FieldKind.DATE:
            return _day(held) == value
        case FieldKind.DATETIME:
            return _moment(held) == _whole_seconds(value)
        case FieldKind.TEXT:
            return isinstance(held, str) and held == value


def held_value(field: FeatureField, held: Any) -> Any:
    """
    What Salesforce holds, as the warehouse has it.

    :param held: as JSON has it.
    :raises SalesforceProtocolError: it is no value of the field's kind.
    """
    if held is None:
        return None
    value: Any
    match field.kind:
        case FieldKind.CHECKBOX:
            value = held if isinstance(held, bool) else None
        case FieldKind.DATE:
            value = _day(held)
        case FieldKind.DATETIME:
            value = _moment(held)
        case FieldKind.TEXT:
            value = held if isinstance(held, str) else None
    if value is None:
        raise SalesforceProtocolError(
            f"Salesforce answered with {held!r} for {field.salesforce_name}; that is no {field.kind.value}."
        )
    return value


def _day(held: Any) -> date | None:
    """None if it is no day. A time is none either: what day it is depends on a time zone."""
    try:
        return datetime.strptime(held, "%Y-%m-%d").date()  # noqa: DTZ007 - a day has no time zone
    except (TypeError, ValueError):
        return None


def _moment(held: Any) -> datetime | None:
    """None if it is no time with an offset."""
    try:
        moment = datetime.fromisoformat(held)
    except (TypeError, ValueError):
        return None
    return None if moment.tzinfo is None else _whole_seconds(moment)


def _whole_seconds(value: datetime) -> datetime:
    """In UTC. The warehouse's times without an offset are in UTC."""
    aware = value.replace(tzinfo=UTC) if value.tzinfo is None else value
    return aware.astimezone(UTC).replace(microsecond=0)


def _shown(value: Any) -> str:
    match value:
        case None:
            return NOTHING
        case datetime():
            return f"{_whole_seconds(value):%Y-%m-%d %H:%M:%S} UTC"
        case date():
            return value.isoformat()
        case str():
            return value or "an empty text"
    return str(value)
