"""The entries of the table of accepted differences, in sentences."""

from datetime import date
from typing import Any

from feature_sync.config.settings import load_settings
from feature_sync.reconciliation.acceptances import Acceptances
from feature_sync.reconciliation.drift import OF_PRODUCTS, UNHEALABLE, DriftClass
from feature_sync.storage.warehouse import render_statement


def row(state: str, in_state: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "state": state,
        "in_state": in_state,
        "class": "key_mismatch",
        "salesforce_id": "a0X1",
        "property_id": None,
        "product": None,
        "reason": "a duplicate",
        "accepted_by": "ada",
        "accepted_until": date(2026, 12, 1),
        "problem": None,
        **changes,
    }


def test_an_ended_one_says_by_whom_and_until_when() -> None:
    [sentence] = Acceptances.from_rows([row("ended")]).sentences

    assert sentence.startswith("1 acceptance has ended, so its difference is new: key_mismatch record a0X1 ")
    assert sentence.endswith("(accepted by ada until 2026-12-01: a duplicate).")


def test_each_state_is_a_sentence_the_most_urgent_first_with_all_of_them_counted() -> None:
    rows = [row("ends_soon", 3, salesforce_id=name) for name in ("a0X1", "a0X2")] + [row("refused", problem="it has no reason")]

    refused, soon = Acceptances.from_rows(rows).sentences

    assert refused.startswith("1 entry in the table of accepted differences does not count: key_mismatch record a0X1 ")
    assert refused.endswith("until 2026-12-01: it has no reason).")
    assert soon.startswith("3 acceptances end soon: ")
    assert soon.endswith("; and 1 more.")


def test_an_entry_without_anything_can_still_be_named() -> None:
    nothing = dict.fromkeys(("class", "salesforce_id", "reason", "accepted_by", "accepted_until"))

    [sentence] = Acceptances.from_rows([row("refused", **nothing, problem="its class is not known")]).sentences

    assert "no class (accepted by nobody until no date: its class is not known)" in sentence


def test_the_file_of_a_run_has_every_state_also_if_it_is_empty() -> None:
    report = Acceptances.from_rows([row("not_needed")]).as_json()

    assert {state: each["count"] for state, each in report.items()} == {"refused": 0, "ended": 0, "ends_soon": 0, "not_needed": 1}
    assert report["not_needed"]["named"] == [
        {
            "class": "key_mismatch",
            "salesforce_id": "a0X1",
            "reason": "a duplicate",
            "accepted_by": "ada",
            "accepted_until": "2026-12-01",
        }
    ]


def test_the_statement_knows_every_class_and_what_it_is_about() -> None:
    text = render_statement("fragments/judged_acceptances", load_settings())
    of_products = text.split("entries.class IN (")[1].split(")")[0]
    all_classes = text.split("entries.class NOT IN (")[1].split(")")[0]

    assert {each.strip(" '\n") for each in of_products.split(",")} == {*OF_PRODUCTS}
    assert {each.strip(" '\n") for each in all_classes.split(",")} == {*DriftClass}
    assert {*DriftClass} - OF_PRODUCTS <= {*UNHEALABLE}
