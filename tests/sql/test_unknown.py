"""
What the SQL does with NULL. Each ``COALESCE`` is listed here with the reason why its default is not a guess.

"no row" means: the row of a LEFT JOIN is missing, and that is a fact.
"""

import re
from collections import Counter

import pytest

from feature_sync.storage.warehouse import SQL_FOLDER

NOT_MARKED = "a row that the replication has not marked as deleted is there; docs/deploy.md says so"
NO_ROW = "no row"
DEFAULTS: dict[str, dict[str, str]] = {
    "backfill/check_payload.sql": {
        "COALESCE(known.records, 0)": "no row: no record in Salesforce has the key. The guard missing_keys counts it",
        "COALESCE(frozen.{}, FALSE)": "an empty flag enables nothing. The guard empty_flags refuses it",
        "COALESCE(CAST(frozen.{} AS DATE) > CAST(current_timestamp() AS DATE), FALSE)": "a date may be empty",
        "COALESCE(CAST(frozen.{} AS DATE) < CAST(:earliest_date AS DATE), FALSE)": "a date may be empty",
        "COALESCE(key, {{ fields.property_id.column }})": "an example for a message",
    },
    "backfill/select_expired_runs.sql": {"COALESCE(sync_log.closed_at, sync_log.opened_at)": "an open attempt has its start"},
    "backfill/select_other_runs.sql": {
        "COALESCE(attempted.status = 'sending' AND attempted.opened_at + {{ longest_run }} >= current_timestamp(), FALSE)": "no "
        "attempt: nothing is on its way",
        "COALESCE(salesforce.system_modstamp > attempted.run_ended_at, FALSE)": "no time: no proof that it has arrived",
        'COALESCE( {{ was_accepted("attempted") }} AND attempted.run_ended_at + {{ late }} >= shared.frozen_at AND NOT '
        "COALESCE(salesforce.system_modstamp > attempted.run_ended_at, FALSE) AND NOT ( {{ all_of(fields.features, "
        '"salesforce.{} IS NOT DISTINCT FROM shared.{}") | indent(20) }} ), FALSE )': "no attempt, or one without an end: "
        "nothing was written that could be waited for",
    },
    "deployment/check_source_values.sql": {
        "COALESCE(features.is_ambiguous, FALSE)": NO_ROW,
        "COALESCE(sent.is_sent, FALSE)": NO_ROW,
        "COALESCE(wanted.is_synced, FALSE)": NO_ROW,
        "COALESCE(wanted.is_ambiguous, FALSE)": NO_ROW,
        "COALESCE(sent.is_sent AND NOT wanted.is_ambiguous, FALSE)": "no row on one side: nothing is judged",
        "COALESCE({{ sent }} = wanted.own_name, FALSE)": "an empty name is not the property's name",
        "COALESCE(held.held_{{ loop.index }} = wanted.own_name, FALSE)": "an empty name is not the property's name",
    },
    "fragments/accepted_records.sql": {"COALESCE(product, '')": "a class without products"},
    "fragments/batch_writes.sql": {
        "COALESCE(attempted.closed_at, attempted.opened_at)": "an open attempt was last seen when it was opened"
    },
    "fragments/compared_records.sql": {
        "COALESCE(features.is_ambiguous, FALSE)": NO_ROW,
        "COALESCE( salesforce.{{ flag }} AND (features.property_id IS NULL OR NOT features.{{ flag }}) AND "
        "sibling_rows.{{ flag }}, FALSE )": "an unknown flag is not True through a sibling; it has a class of its own",
        "COALESCE(properties.{{ settings.properties_deleted_column }}, FALSE)": NOT_MARKED,
    },
    "fragments/described_properties.sql": {"COALESCE(properties.{{ settings.properties_deleted_column }}, FALSE)": NOT_MARKED},
    "fragments/family_members.sql": {"COALESCE(properties.{{ settings.properties_deleted_column }}, FALSE)": NOT_MARKED},
    "fragments/feature_rows.sql": {
        "COALESCE(own_rows.is_ambiguous, FALSE)": NO_ROW,
        "COALESCE(sibling_rows.is_ambiguous, FALSE)": NO_ROW,
    },
    "fragments/is_synced_property.sql": {
        "COALESCE(properties.status, '')": "unknown, unless the settings name it ''",
        "COALESCE(trim(properties.sfdc_id) RLIKE '^({{ settings.placeholder_sfdc_ids }})$', FALSE)": "empty is no placeholder",
        "COALESCE(properties.{{ settings.properties_deleted_column }}, FALSE)": NOT_MARKED,
    },
    "fragments/counted_differences.sql": {
        "COALESCE(acceptances.is_current, FALSE)": "no row: it is not accepted",
        "COALESCE(SUM({{ column }}), 0)": "no row: nothing differs",
    },
    "fragments/judged_acceptances.sql": {
        "COALESCE(trim(entries.salesforce_id), '')": "empty is refused by name",
        "COALESCE(trim(entries.{{ property_id }}), '')": "empty is refused by name",
        "COALESCE(trim(entries.reason), '')": "empty is refused by name",
        "COALESCE(trim(entries.accepted_by), '')": "empty is refused by name",
    },
    "fragments/known_properties.sql": {"COALESCE(properties.{{ settings.properties_deleted_column }}, FALSE)": NOT_MARKED},
    "fragments/sent_fields.sql": {
        "COALESCE(salesforce.system_modstamp > last_tried.run_ended_at, FALSE)": "no time: no proof that it has arrived",
        "COALESCE(replica.changed_at > last_tried.run_ended_at + {{ late }}, FALSE)": "no time: no proof that it has arrived",
    },
    "fragments/last_attempts.sql": {"COALESCE(closed_at, opened_at)": "an open attempt was last seen when it was opened"},
    "fragments/named_properties.sql": {"COALESCE(features.{{ settings.features_deleted_column }}, FALSE)": NOT_MARKED},
    "fragments/own_feature_rows.sql": {"COALESCE(features.{{ deleted }}, FALSE)": NOT_MARKED},
    "fragments/pilot_strata.sql": {
        "COALESCE(payload.{}, FALSE)": "an empty flag is no product. The guard empty_flags refuses it",
        "COALESCE(payload.{{ product.enabled.column }}, FALSE)": "an empty flag is no product. The guard empty_flags refuses it",
    },
    "pilot/assign_pilot.sql": {"COALESCE(strata.parent_id, strata.salesforce_id)": "without a parent, a family alone"},
    "fragments/placed_records.sql": {"COALESCE(chosen.parent_id, chosen.salesforce_id)": "without a parent, a family alone"},
    "fragments/properties_of_unknown_status.sql": {
        "COALESCE(properties.status, '')": "an empty status is an unknown one, unless the settings name it",
        "COALESCE(properties.{{ settings.properties_deleted_column }}, FALSE)": NOT_MARKED,
    },
    "macros.sql": {
        "COALESCE({{ own }}{{ field.column }} <> {{ held }}{{ field.column }}, FALSE)": "an unknown flag is neither equal nor "
        "different; unknown_in_salesforce and unknown_in_warehouse count it",
        "COALESCE(array_contains(accepted, '{{ class }}/{{ product }}'), FALSE)": "no row: nothing of the record is accepted",
    },
    "reconciliation/select_differences.sql": {"COALESCE(acceptances.is_current, FALSE)": "no row: it is not accepted"},
    "reconciliation/select_missing_records.sql": {"COALESCE(acceptances.is_current, FALSE)": "no row: it is not accepted"},
    "replica/check_replica.sql": {
        "COALESCE(salesforce.system_modstamp > last_written.run_ended_at, FALSE)": "no time: no proof that it has arrived",
        "COALESCE(replica.changed_at > last_written.run_ended_at + {{ late }}, FALSE)": "no time: the record is not given up",
    },
    "fragments/repeated_properties.sql": {"COALESCE(properties.{{ settings.properties_deleted_column }}, FALSE)": NOT_MARKED},
    "verify/count_twins.sql": {"COALESCE(properties.{{ settings.properties_deleted_column }}, FALSE)": NOT_MARKED},
    "sending/check_batch.sql": {
        "COALESCE( marked.reason, 'CHANGED_SINCE_FREEZE: run ' || written.sent_since_by || ' has sent this record since it was "
        "frozen here' )": "the first reason that there is",
        "COALESCE(written.is_by_this_run, FALSE)": "no row: no run of ours has written the record",
        "COALESCE(written.is_by_another_run, FALSE)": "the same",
    },
    "sending/record_attempt.sql": {
        "COALESCE(source.sync_run_id, sync_log.sync_run_id)": "an id that is known once is never forgotten"
    },
}
FILES = sorted(path.relative_to(SQL_FOLDER).as_posix() for path in SQL_FOLDER.rglob("*.sql"))
OTHER_DEFAULTS = re.compile(r"\b(ifnull|nvl2?|zeroifnull|try_to_\w+|if)\s*\(", re.IGNORECASE)
"""
Other ways to make a value of NULL, or NULL of a value that cannot be read. We use none of them. ``try_cast`` stands in
``deployment/check_source_values.sql`` alone, because nobody knows the types of the regular sync's query: a flag that cannot be
read counts as empty there, and that is red.
"""


def expressions(text: str) -> list[str]:
    """Each ``COALESCE(...)``, from its name to the parenthesis that closes it."""
    found = []
    for match in re.finditer(r"\bCOALESCE\(", text):
        depth, end = 1, match.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        found.append(" ".join(text[match.start() : end].split()))
    return found


@pytest.mark.parametrize("name", FILES)
def test_each_default_for_null_is_listed_with_its_reason(name: str) -> None:
    found = set(expressions((SQL_FOLDER / name).read_text(encoding="utf-8")))

    assert found == set(DEFAULTS.get(name, ()))


@pytest.mark.parametrize("name", FILES)
def test_null_becomes_a_value_in_no_other_way(name: str) -> None:
    text = re.sub(r"--[^\n]*|\{#.*?#\}", "", (SQL_FOLDER / name).read_text(encoding="utf-8"), flags=re.DOTALL)

    assert OTHER_DEFAULTS.findall(text) == []


def test_a_default_is_found_with_all_its_parentheses() -> None:
    text = "SELECT COALESCE(trim(a) = (b), FALSE), COALESCE(c, 0)"

    assert Counter(expressions(text)) == Counter(["COALESCE(trim(a) = (b), FALSE)", "COALESCE(c, 0)"])
