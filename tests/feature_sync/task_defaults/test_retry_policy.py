"""Every error of the package has a rule, or the policy's default: nobody forgets to decide whether a retry can help."""

import importlib
import inspect
from pathlib import Path

import pytest

from feature_sync.task_defaults.retry_policy import RETRY_POLICY

PACKAGE = Path(__file__).resolve().parents[3] / "plugins" / "feature_sync"
NEVER_REACH_A_TASK = {
    "MissingConnectionError",  # becomes a CensusAuthError or an AccessError
    "PoolUnknownError",  # a precondition
    "ProblemsError",  # a base; its subclasses have rules
    "UnknownKeyError",  # of the regular sync: becomes an UnjudgedError
    "UnknownRecordError",  # of the command that tells a story
    "UnknownPrivilegesError",  # a finding that says what was not checked
    "UnreadableConnectionError",  # becomes a CensusTokenUnknownError or a ConnectError
    "UnusableQueryError",  # the same, or a problem of the deployment
}
"""Errors that are caught inside the package."""


def errors_of_the_package() -> dict[str, type[Exception]]:
    found: dict[str, type[Exception]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = "feature_sync." + ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        for each in vars(importlib.import_module(name)).values():
            is_ours = inspect.isclass(each) and issubclass(each, Exception) and each.__module__ == name
            if is_ours and not each.__name__.startswith("_"):  # a private one does not leave its module
                found[each.__name__] = each
    return found


ERRORS = errors_of_the_package()
RULED = tuple(rule.exception for rule in RETRY_POLICY.rules)


@pytest.mark.parametrize("name", sorted(set(ERRORS) - NEVER_REACH_A_TASK))
def test_an_error_has_a_rule(name: str) -> None:
    assert [ruled for ruled in RULED if issubclass(ERRORS[name], ruled)], "decide in retry_policy.py whether a retry can help"


def test_the_exceptions_are_errors_of_the_package() -> None:
    assert set(ERRORS) >= NEVER_REACH_A_TASK
    assert len(ERRORS) > 20
