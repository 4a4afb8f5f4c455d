"""What a check returns: what was looked at, whether it is right, and what to do if it is not."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """``NOT_CHECKED`` is never right: nobody has looked, and the text says why."""

    RIGHT = "right"
    WRONG = "wrong"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """
    ``name``: what was looked at, in a few words.
    ``text``: what was found. If it is wrong: also what to do. If it was not checked: why not.
    ``is_temporary``: something wrong that may be right later without anybody's help, such as a system that does not answer.
    """

    name: str
    verdict: Verdict
    text: str
    is_temporary: bool = False


def right(name: str, text: str) -> Finding:
    return Finding(name, Verdict.RIGHT, text)


def wrong(name: str, text: str, *, is_temporary: bool = False) -> Finding:
    return Finding(name, Verdict.WRONG, text, is_temporary)


def not_checked(name: str, text: str) -> Finding:
    return Finding(name, Verdict.NOT_CHECKED, text)


def judged(name: str, problems: Iterable[str], otherwise: str) -> list[Finding]:
    """
    A finding for each problem.

    :param otherwise: what was found if there is none.
    """
    return [wrong(name, problem) for problem in problems] or [right(name, otherwise)]


def is_right(findings: Iterable[Finding]) -> bool:
    """Whether nothing is wrong."""
    return not any(each.verdict is Verdict.WRONG for each in findings)
