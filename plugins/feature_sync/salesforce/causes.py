"""
Why a field differs. Facts in, cause out; nothing here asks anybody.

The warehouse knows what was sent last (*sent*), what Salesforce held right before (*before*), what the replica holds (*held*),
what the warehouse says now (*source*), and when the record changed last. ``fragments/cause.sql`` decides by these facts, from
top to bottom, and `with_salesforce` by what Salesforce answers beside them. A cause is given only if the facts prove it:

| cause | the facts that prove it |
|---|---|
| no_record | the replica has no record for it |
| unknown_on_one_side | a flag is empty on one side; or the keys, the property, its status or its feature rows leave it open |
| true_through_sibling | True in Salesforce, False by its own property, and an ACTIVE sibling has the product |
| representation_only | the same time but for a part of a second |
| never_sent | no attempt at its batch reached Census with it: in this run, or for the weekly run in any whose values are kept |
| rejected | Census's row records say so of the last attempt |
| undone | the last run was an undo, and *held* is what it sent |
| moved_in_source | *source* is not *sent*, and *held* is one of these two; the last run was no undo |
| edited_in_salesforce | accepted, and the replica is past that Census run; *held* is neither *sent* nor *before* |
| not_written | the same, but *held* is *before*, and the record has not changed since that Census run began |
| edited_in_salesforce | the same, but it has changed; another field of it took what was sent, and in another record this one |
| only_in_replica | Salesforce itself holds the right value |
| not_known | everything else: an open attempt, a replica that is behind, a value that was not written or put back |

Salesforce names who changed the *record* last. That is evidence and no proof: a Flow runs as the user who saved the record, and
another field may have been changed. So a person and an automation are one cause, and the name stands beside it.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

from feature_sync.config.fields import FeatureField, FieldKind
from feature_sync.salesforce.comparison import are_equal
from feature_sync.salesforce.models import SalesforceRecord

ACCEPTED = "accepted"
"""What ``sent_fields.sql`` says of an attempt whose record Census accepted."""


class Cause(StrEnum):
    """Why a field differs, see the table above. The order is that of reports."""

    MOVED_IN_SOURCE = "moved_in_source"
    EDITED_IN_SALESFORCE = "edited_in_salesforce"
    NOT_WRITTEN = "not_written"
    REJECTED = "rejected"
    NEVER_SENT = "never_sent"
    UNDONE = "undone"
    TRUE_THROUGH_SIBLING = "true_through_sibling"
    UNKNOWN_ON_ONE_SIDE = "unknown_on_one_side"
    NO_RECORD = "no_record"
    REPRESENTATION_ONLY = "representation_only"
    ONLY_IN_REPLICA = "only_in_replica"
    NOT_KNOWN = "not_known"

    @property
    def description(self) -> str:
        """In words, behind a number."""
        return _WORDS[self]


_WORDS = {
    Cause.MOVED_IN_SOURCE: "changed in the warehouse after it was sent",
    Cause.EDITED_IN_SALESFORCE: "edited in Salesforce by a person or an automation",
    Cause.NOT_WRITTEN: "accepted by Census but not written",
    Cause.REJECTED: "rejected when it was sent last",
    Cause.NEVER_SENT: "never sent",
    Cause.UNDONE: "put back by an undo",
    Cause.TRUE_THROUGH_SIBLING: "True through a sibling",
    Cause.UNKNOWN_ON_ONE_SIDE: "unknown on one side",
    Cause.NO_RECORD: "without a record in Salesforce",
    Cause.REPRESENTATION_ONLY: "the same but for how it is written",
    Cause.ONLY_IN_REPLICA: "wrong in the replica only; Salesforce itself is right",
    Cause.NOT_KNOWN: "of a cause that is not known",
}
DECIDED_BY_SENDING = frozenset(
    {Cause.MOVED_IN_SOURCE, Cause.EDITED_IN_SALESFORCE, Cause.NOT_WRITTEN, Cause.UNDONE, Cause.NOT_KNOWN}
)
"""Causes that rest on what the replica holds. All others stay, unless Salesforce itself is right."""


@dataclass(frozen=True, slots=True)
class KnownDifference:
    """
    A field that differs, with the facts of the warehouse. Values are texts, as the warehouse casts them.

    ``sent_from``, ``sent_until``: start and end of the Census run that sent it last.
    """

    cause: Cause
    in_salesforce: str | None
    expected: str | None
    sent: str | None
    before: str | None
    sent_outcome: str | None
    sent_from: datetime | None
    sent_until: datetime | None


def with_salesforce(known: KnownDifference, field: FeatureField, record: SalesforceRecord) -> Cause:
    """
    The cause, after Salesforce has answered what the record holds now.

    What Salesforce holds is never behind. So a difference may be the replica's alone, and a cause that was not known because the
    replica was behind may be known. If Salesforce holds another value than the replica, what the replica proved no longer counts.

    :param record: as read now, with the field.
    """
    if _holds(record, field, known.expected) and not _is_unknown(field, known.expected):
        return Cause.ONLY_IN_REPLICA
    if known.cause not in DECIDED_BY_SENDING:
        return known.cause
    is_as_in_replica = _holds(record, field, known.in_salesforce)
    if is_as_in_replica and known.cause is not Cause.NOT_KNOWN:
        return known.cause
    is_unknown = _is_unknown(field, record.values[field.salesforce_name])
    if is_unknown or known.sent_outcome != ACCEPTED or _holds(record, field, known.sent):
        return Cause.NOT_KNOWN
    return _after_acceptance(known, field, record, is_as_in_replica=is_as_in_replica)


def _after_acceptance(known: KnownDifference, field: FeatureField, record: SalesforceRecord, *, is_as_in_replica: bool) -> Cause:
    """The cause if Census accepted the field, and Salesforce holds something else now."""
    if not is_as_in_replica:
        is_later = known.sent_until is not None and record.modified_at > _aware(known.sent_until)
        return Cause.EDITED_IN_SALESFORCE if is_later else Cause.NOT_KNOWN
    if not _holds(record, field, known.before) and not _is_unknown(field, known.before):
        return Cause.EDITED_IN_SALESFORCE
    is_untouched = known.sent_from is not None and record.modified_at < _aware(known.sent_from)
    return Cause.NOT_WRITTEN if is_untouched else Cause.NOT_KNOWN


def _holds(record: SalesforceRecord, field: FeatureField, value: str | None) -> bool:
    return are_equal(field, _parsed(field, value), record.values[field.salesforce_name])


def _is_unknown(field: FeatureField, value: Any) -> bool:
    return field.kind is FieldKind.CHECKBOX and value is None


def _parsed(field: FeatureField, value: str | None) -> Any:
    """:param value: as the warehouse casts it to STRING."""
    if value is None:
        return None
    match field.kind:
        case FieldKind.CHECKBOX:
            return {"true": True, "false": False}[value]
        case FieldKind.DATE:
            return date.fromisoformat(value)
        case FieldKind.DATETIME:
            return _aware(datetime.fromisoformat(value))
        case FieldKind.TEXT:
            return value


def _aware(value: datetime) -> datetime:
    """The warehouse's times without an offset are in UTC."""
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value
