"""What the org must be like before a run: its fields, its locked records, its limits, its Flow."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from feature_sync.config.fields import FeatureField, FieldKind, FieldTable
from feature_sync.config.names import SALESFORCE_CONN_ID
from feature_sync.config.settings import Settings
from feature_sync.config.wording import count_of
from feature_sync.salesforce.errors import SalesforceNotAllowedError
from feature_sync.salesforce.models import CALLS_PER_BATCH, ApiLimit, FieldDescription, FlowState, ObjectDescription

if TYPE_CHECKING:
    from feature_sync.salesforce.hook import SalesforceReader

MAX_LOCKED = 5
"""Locked records that a message names."""
TYPES = {
    FieldKind.CHECKBOX: frozenset({"boolean"}),
    FieldKind.DATE: frozenset({"date"}),
    FieldKind.DATETIME: frozenset({"datetime"}),
    FieldKind.TEXT: frozenset({"string", "textarea", "email", "phone", "url", "picklist", "id", "reference", "encryptedstring"}),
}
"""The types of describe that a column of each kind may be written to."""
NAMES = {
    FieldKind.CHECKBOX: "a Checkbox",
    FieldKind.DATE: "a Date",
    FieldKind.DATETIME: "a Date/Time",
    FieldKind.TEXT: "a Text",
}

Seen = TypeVar("Seen")


@dataclass(frozen=True, slots=True)
class OrgFindings:
    """
    What a look at the org says, one sentence each.

    ``problems``: nothing may be sent. ``not_checked``: what the user of the connection may not see. ``notes``: what is worth
    knowing.
    """

    problems: tuple[str, ...] = ()
    not_checked: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __add__(self, other: "OrgFindings") -> "OrgFindings":
        return OrgFindings(self.problems + other.problems, self.not_checked + other.not_checked, self.notes + other.notes)


def look_at_org(reader: "SalesforceReader", settings: Settings, batches: int) -> OrgFindings:
    """
    Ask Salesforce for all that a run relies on.

    :param batches: how many batches the run may have.
    :raises SalesforceError: Salesforce does not answer, or refuses the login.
    """
    name, flow = settings.salesforce_object, settings.salesforce_flow
    findings = [
        _look(lambda: reader.describe(name), f"the fields of {name}", lambda found: check_fields(found, settings.fields)),
        _look(
            lambda: reader.locked_records(name),
            f"which records of {name} wait for an approval",
            lambda found: check_locks(found, name),
        ),
        _look(reader.limits, "how many API calls are left", lambda found: check_limit(found, batches)),
    ]
    if flow:
        findings.append(_look(lambda: reader.flow(flow), f"the Flow {flow}", lambda found: check_flow(found, flow)))
    return sum(findings, OrgFindings())


def _look(look: Callable[[], Seen], what: str, check: Callable[[Seen], OrgFindings]) -> OrgFindings:
    try:
        seen = look()
    except SalesforceNotAllowedError as refused:
        return OrgFindings(not_checked=(f"Not checked: {what}. {refused}",))
    return check(seen)


def check_fields(described: ObjectDescription, fields: FieldTable) -> OrgFindings:
    """
    Compare the fields of the object with the field table.

    What a user may edit says nothing about another user. So if the user of the connection may edit no record at all, as is right
    for one that only reads, the right of Census's user to edit is not checked.
    """
    found = [(each, described.find(each.salesforce_name)) for each in fields]
    problems = [
        *([_all_missing(described)] if not any(shown for _, shown in found) else _missing(described, fields, found)),
        *(problem for each, shown in found if shown for problem in _field_problems(each, shown, fields)),
    ]
    key = described.find(fields.upsert_key.salesforce_name)
    if key and not key.external_id:
        problems.append(
            f"{key.name} is no external id in Salesforce, so Census cannot find records by it. Mark it as External ID."
        )
    if not described.updateable:
        not_checked = (
            f"Not checked: whether Census's user may edit the fields of {described.name}. The user of connection "
            f"{SALESFORCE_CONN_ID} may edit none, as is right, so Salesforce does not tell. The first batch is read back.",
        )
        return OrgFindings(tuple(problems), not_checked)
    refused = [shown.name for each, shown in found if shown and each != fields.upsert_key and _is_locked(shown)]
    if refused:
        problems.append(
            f"The user of connection {SALESFORCE_CONN_ID} may edit {described.name}, but not {', '.join(refused)}. If Census "
            "logs in as this user, give it the right to edit these fields. Otherwise use a user that may only read."
        )
    return OrgFindings(tuple(problems))


def check_limit(limit: ApiLimit, batches: int) -> OrgFindings:
    """
    Compare the API calls that are left today with what a run needs.

    :param batches: how many batches the run may have.
    """
    needed = batches * CALLS_PER_BATCH
    left = f"Salesforce has {limit.remaining:,} of {limit.max:,} API calls left in these 24 hours"
    if limit.remaining < needed:
        return OrgFindings(
            (
                f"{left}, and this run may need {needed:,}: {CALLS_PER_BATCH} for each of {count_of(batches, 'batch')}. Start it "
                "when enough of them have come back.",
            )
        )
    return OrgFindings(notes=(f"{left}; this run may need {needed:,}.",))


def check_locks(locked: Sequence[str], object_name: str) -> OrgFindings:
    """
    Say which records are locked. Whether that stops Census is not known: its user may be allowed to modify all data.

    :param locked: ids of records of the object.
    """
    if not locked:
        return OrgFindings(notes=(f"No record of {object_name} waits for an approval.",))
    ids = ", ".join(locked[:MAX_LOCKED]) + (f" and {len(locked) - MAX_LOCKED:,} more" if len(locked) > MAX_LOCKED else "")
    return OrgFindings(
        not_checked=(
            f"Not checked: whether Census may change {count_of(len(locked), 'record')} of {object_name} that "
            f"{'waits' if len(locked) == 1 else 'wait'} for an approval: {ids}. Salesforce locks them and rejects changes "
            "with ENTITY_IS_LOCKED unless the user may modify all data. If they are in this run, let somebody decide first.",
        )
    )


def check_flow(state: FlowState | None, name: str) -> OrgFindings:
    """:param name: the developer name that was asked for."""
    if state is None:
        return OrgFindings((f"Salesforce has no Flow with the developer name {name}. Correct or empty SALESFORCE_FLOW.",))
    if not state.is_active:
        return OrgFindings(notes=(f"The Flow {state}, so what it works out from these records stays as it is.",))
    return OrgFindings(notes=(f"The Flow is on: {state}.",))


def _all_missing(described: ObjectDescription) -> str:
    return (
        f"Salesforce shows none of the fields of {described.name} to the user of connection {SALESFORCE_CONN_ID}. Give this user "
        "the right to read them."
    )


def _missing(
    described: ObjectDescription, fields: FieldTable, found: list[tuple[FeatureField, FieldDescription | None]]
) -> list[str]:
    return [
        f"Salesforce shows no field {each.salesforce_name} of {described.name} to the user of connection {SALESFORCE_CONN_ID}. "
        f"If there is one, give this user the right to read it. {fields.cure(each, 'Salesforce has no such field')}"
        for each, shown in found
        if shown is None
    ]


def _field_problems(field: FeatureField, shown: FieldDescription, fields: FieldTable) -> list[str]:
    problems = []
    if shown.type not in TYPES[field.kind]:
        cure = fields.cure(field, f"{shown.name} is the wrong field")
        if {field.kind.value, shown.type} == {"date", "datetime"}:
            verb = "Add" if shown.type == "datetime" else "Remove"
            cure = f"{verb} {field.column} {'to' if verb == 'Add' else 'from'} DATETIME_FIELDS."
        problems.append(f"{shown.name} has the type {shown.type} in Salesforce; it must be {NAMES[field.kind]}. {cure}")
    if shown.calculated or shown.auto_number:
        problems.append(
            f"Salesforce works {shown.name} out itself, so nobody can write it. "
            f"{fields.cure(field, f'{shown.name} is the wrong field')}"
        )
    return problems


def _is_locked(shown: FieldDescription) -> bool:
    """Whether the user may not edit the field, although Salesforce does not work it out itself."""
    return not (shown.updateable or shown.calculated or shown.auto_number)
