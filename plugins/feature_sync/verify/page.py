"""The page of a verification: Markdown for the log of the task and for its XCom."""

import textwrap
from collections.abc import Sequence
from datetime import datetime

from feature_sync.checks.findings import Finding, Verdict
from feature_sync.config.wording import count_of

INDENT = "   "


def headline(findings: Sequence[Finding]) -> str:
    """How much is wrong, was not checked and is right."""
    wrong, unknown, right = (len(_with(findings, verdict)) for verdict in (Verdict.WRONG, Verdict.NOT_CHECKED, Verdict.RIGHT))
    return (
        f"{count_of(wrong, 'finding', 'is', 'are')} wrong, {unknown:,} {'was' if unknown == 1 else 'were'} not checked, "
        f"{right:,} {'is' if right == 1 else 'are'} right."
    )


def render_page(findings: Sequence[Finding], at: datetime) -> str:
    """:param findings: in the order in which to repair what is wrong."""
    parts = [f"# Verification of {at:%Y-%m-%d %H:%M} UTC", f"**{headline(findings)}** Nothing was written anywhere."]
    wrong, unknown, right = (_with(findings, verdict) for verdict in (Verdict.WRONG, Verdict.NOT_CHECKED, Verdict.RIGHT))
    if wrong:
        parts += ["## What is wrong, in the order to repair it", _list(wrong, numbered=True)]
    if unknown:
        parts += ["## What was not checked, and why", _list(unknown)]
    if right:
        parts += ["## What is right", _list(right)]
    return "\n\n".join(parts) + "\n"


def _with(findings: Sequence[Finding], verdict: Verdict) -> list[Finding]:
    return [each for each in findings if each.verdict is verdict]


def _list(findings: Sequence[Finding], *, numbered: bool = False) -> str:
    """One item for each finding. What a text has on further lines stays in its item."""
    marks = [f"{number}." if numbered else "-" for number in range(1, len(findings) + 1)]
    lines = (f"{mark} **{each.name}**: {each.text}" for mark, each in zip(marks, findings, strict=True))
    return "\n".join(textwrap.indent(line, INDENT).removeprefix(INDENT) for line in lines)
