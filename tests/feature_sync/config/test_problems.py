"""Errors that list problems."""

from feature_sync.config.problems import GuardError


def test_the_error_lists_every_problem() -> None:
    error = GuardError(["a is wrong.", "b is wrong."])

    assert str(error) == "Nothing was sent, because:\n- a is wrong.\n- b is wrong."
