"""The form by which known differences are accepted."""

from datetime import date
from typing import Any

import pytest

from feature_sync.config.problems import RunConfigError
from feature_sync.config.settings import load_settings
from feature_sync.reconciliation.accepting import chosen_parameters, parse_request

TODAY = date(2026, 11, 26)
GOOD = {
    "class": "wrongly_false",
    "ids": ["12", " a0X1 ", "12", ""],
    "products": ["idv_only"],
    "reason": " known since the merger ",
    "accepted_until": "2027-11-26",
}


def parse(**changes: Any) -> Any:
    return parse_request({**GOOD, **changes}, load_settings(), TODAY)


def test_each_id_is_asked_for_once_and_the_last_day_allowed_is_a_year_away() -> None:
    request = parse()

    assert chosen_parameters(request) == {"class": "wrongly_false", "ids": "12,a0X1", "products": "idv_only"}
    assert (request.reason, request.accepted_until) == ("known since the merger", date(2027, 11, 26))
    assert parse(accepted_until="2026-11-26").accepted_until == TODAY


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"class": None}, "class is None; allowed are wrongly_false, "),
        ({"class": "wrong"}, "class is 'wrong'"),
        ({"ids": None}, "ids is empty"),
        ({"ids": [" "]}, "ids is empty"),
        ({"ids": "12"}, "ids is '12'; it must be a list of texts"),
        ({"ids": [12]}, "it must be a list of texts"),
        ({"ids": ["1,2"]}, "ids has '1,2'; an id has letters"),
        ({"products": ["fraud"]}, "products has 'fraud'; allowed are fraud_detection, "),
        ({"class": "key_mismatch"}, "products must be empty, because class key_mismatch is not about a product"),
        ({"reason": None}, "reason is None; it must have 10 to 500 characters"),
        ({"reason": " " * 20}, "reason is "),
        ({"reason": "x" * 501}, "it must have 10 to 500 characters"),
        ({"accepted_until": None}, "accepted_until is None; it must be a day from 2026-11-26 to 2027-11-26"),
        ({"accepted_until": "2026-11-25"}, "accepted_until is '2026-11-25'"),
        ({"accepted_until": "2027-11-27"}, "ACCEPTED_DAYS_LIMIT is 365"),
        ({"accepted_until": "2026-13-01"}, "accepted_until is '2026-13-01'"),
        ({"accepted_until": 20270101}, "accepted_until is 20270101"),
        ({"accepted_by": "somebody else"}, "accepted_by is not a parameter"),
    ],
)
def test_a_form_that_is_not_complete_is_refused_with_what_is_allowed(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(RunConfigError) as refused:
        parse(**changes)

    assert len([each for each in refused.value.problems if problem in each]) == 1
