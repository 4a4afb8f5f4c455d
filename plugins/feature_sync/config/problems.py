"""Errors that list everything that is wrong, one sentence each, so that one look at the log is enough.

ProblemsError
├── RunConfigError   the run config cannot be used: nothing was written
├── GuardError       a check failed: nothing was sent
├── NotReadyError    the checks failed for reasons that may be temporary: nothing was sent
├── OwnTableError    our own tables cannot be used
└── NotReadyForRunsError   a verification has found something wrong, see `feature_sync.verify.verification`
"""

from collections.abc import Sequence
from typing import ClassVar


class ProblemsError(RuntimeError):
    """
    Base of the errors that list problems.

    :param problems: one sentence for each problem, with what to do about it.
    """

    heading: ClassVar[str]

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join([self.heading, *(f"- {problem}" for problem in problems)]))
        self.problems = list(problems)


class RunConfigError(ProblemsError, ValueError):
    """A parameter of the run config, or the scope it describes, cannot be used."""

    heading = "The run config is refused, nothing was written:"


class GuardError(ProblemsError):
    """A check failed, and only a person can correct what it found."""

    heading = "Nothing was sent, because:"


class NotReadyError(ProblemsError):
    """Every problem found may be temporary, such as a system that does not answer."""

    heading = "Nothing was sent. These problems may be temporary, so the task tries again:"


class OwnTableError(ProblemsError):
    """A table of ours cannot be created, extended or written to."""

    heading = "Our own tables cannot be used:"


class CsvError(RuntimeError):
    """A CSV file does not hold what it should."""


class UnusableQueryError(ValueError):
    """A query that is not run. The text is the predicate of a sentence about it."""
