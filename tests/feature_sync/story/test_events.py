"""What the story of a record says of each thing that happened to it."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from feature_sync.config.fields import load_fields
from feature_sync.story.events import answer_in_short, events_of

FIELDS = load_fields()
FRAUD = FIELDS.products[0]
OFF = {each.enabled.column: False for each in FIELDS.products} | {each.column: None for each in FIELDS.dates}


def at(minute: int) -> datetime:
    return datetime(2025, 11, 24, 8, minute, tzinfo=UTC)


def attempt(number: int | None = 1, **values: Any) -> dict[str, Any]:
    """A record of which Fraud Detection was switched on, and which Census accepted, but for these values."""
    sent = OFF | {FRAUD.enabled.column: True, str(FRAUD.start and FRAUD.start.column): date(2025, 11, 21)}
    return {
        "run_id": "r1",
        "batch_number": 3,
        "frozen_at": at(0),
        "released_at": at(1),
        "is_undo": False,
        "attempt": number,
        "status": "succeeded",
        "was_accepted": True,
        "sync_run_id": 1002,
        "opened_at": at(2),
        "run_started_at": at(3),
        "run_ended_at": at(4),
        "is_rejected": False,
        "rejection": None,
        **sent,
        **{f"before_{name}": value for name, value in OFF.items()},
        **values,
    }


def seen(minute: int, **values: Any) -> dict[str, Any]:
    sent = {name: value for name, value in attempt().items() if name in OFF}
    return {
        "run_id": "r1",
        "purpose": "canary",
        "read_at": at(minute),
        "modified_at": at(4),
        "modified_by": "Bo",
        "unreadable": None,
        **sent,
        **values,
    }


def told(attempts: list[dict[str, Any]], read_backs: Any = (), answers: Any = ()) -> list[str]:
    return [str(event) for event in events_of(attempts, list(read_backs), answers, FIELDS)]


def answer(**values: Any) -> dict[str, Any]:
    given = {"run_id": "r1", "task_id": "approve", "answer": "Approve", "answered_by": "ada", "answered_at": at(1)}
    return given | {"reason": None, "started_by": None} | values


def test_it_is_in_the_order_of_time() -> None:
    assert [line[11:16] for line in told([attempt()], [seen(5)], [answer()])] == ["08:00", "08:01", "08:03", "08:05"]


def test_what_the_warehouse_said_stands_beside_what_salesforce_held() -> None:
    [frozen, sent] = told([attempt()])

    assert frozen.startswith(
        "2025-11-24 08:00:00  Run r1 froze the warehouse's values. "
        "Salesforce held → to be sent: Fraud Detection off → on since 2025-11-21. "
        "The same on both sides: Income Verification off;"
    )
    assert sent == "2025-11-24 08:03:00  Sent in batch 003, attempt 1, Census run 1002: accepted by Census."


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"is_rejected": True, "rejection": "NO: never"}, "Sent in batch 003, attempt 1, Census run 1002: rejected: NO: never."),
        (
            {"is_rejected": True, "rejection": "CHANGED_SINCE_FREEZE: somebody"},
            "Left out of batch 003, attempt 1 (run r1): CHANGED_SINCE_FREEZE: somebody.",
        ),
        ({"status": "sending", "was_accepted": None}, "what became of it is not known yet."),
        ({"status": "failed", "was_accepted": False}, "what became of it is not known."),
        ({"status": "halted", "was_accepted": False}, "Nothing was sent of batch 003, attempt 1: it was held back (run r1)."),
    ],
    ids=["rejected", "changed", "open", "unknown", "halted"],
)
def test_what_became_of_an_attempt(values: dict[str, Any], said: str) -> None:
    assert told([attempt(**values)])[1].endswith(said)


def test_a_run_that_was_never_released_says_so() -> None:
    [line] = told([attempt(None, released_at=None)])

    assert line.endswith("They were not released, so nothing was sent.")


def test_an_undo_is_called_one() -> None:
    assert "Run r1 was to restore the values from before another run." in told([attempt(is_undo=True)])[0]


def test_what_salesforce_held_is_compared_with_what_the_run_sent() -> None:
    [_, _, same] = told([attempt()], [seen(5)])
    [_, _, other] = told([attempt()], [seen(5, **{FRAUD.enabled.column: False})])

    assert same.endswith("(canary, run r1): it held what the run sent, last changed by Bo at 2025-11-24 08:04:00.")
    assert "it held Fraud Detection off instead of on since 2025-11-21, last changed by Bo" in other


def test_a_field_that_nobody_could_read_is_no_difference_and_another_day_is_called_one() -> None:
    day = str(FRAUD.start and FRAUD.start.column)
    hidden = seen(5, **{FRAUD.enabled.column: None, "unreadable": FRAUD.enabled.column})
    updated = str(FRAUD.updated and FRAUD.updated.column)

    assert "it held what the run sent" in told([attempt()], [hidden])[2]
    assert (
        "it held Fraud Detection on since 2025-11-21, but another day"
        in told([attempt(**{updated: date(2025, 11, 22)})], [seen(5)])[2]
    )
    assert "Fraud Detection on instead of on since 2025-11-21" in told([attempt()], [seen(5, **{day: None})])[2]


def test_silence_is_no_answer_by_somebody() -> None:
    silence = answer(answer="nobody answered in time", answered_by=None, answered_at=at(9))

    assert told([attempt()], answers=[silence])[-1].endswith("approve: nobody answered in time (run r1).")


def test_an_answer_says_why_and_who_started_the_run() -> None:
    [line] = told([], answers=[answer(answered_by="bo", reason="OPS-7: agreed", started_by="ada")])

    assert line.endswith("approve: Approve, by bo (run r1, started by ada). Reason: OPS-7: agreed.")


def test_a_run_of_an_older_version_does_not_say_whether_it_was_an_undo() -> None:
    assert "Run r1 froze these values." in told([attempt(is_undo=None)])[0]


class TestInShort:
    def test_a_record_that_was_never_sent(self) -> None:
        assert "No run of ours has sent this record" in answer_in_short([attempt(None)], [], FIELDS)
        assert "No run of ours has sent this record" in answer_in_short([attempt(status="not_sent")], [], FIELDS)

    def test_a_run_that_left_it_out_did_not_send_it(self) -> None:
        later = attempt(run_id="r2", opened_at=at(9), is_rejected=True, rejection="CHANGED_SINCE_FREEZE: somebody")

        assert answer_in_short([attempt(), later], [], FIELDS).startswith("Run r1 was the last to send it: accepted")

    def test_one_that_nobody_has_looked_at(self) -> None:
        said = answer_in_short([attempt()], [seen(3)], FIELDS)

        assert said == "Run r1 was the last to send it: accepted by Census. Nobody has asked Salesforce itself since."

    def test_one_that_was_seen_since(self) -> None:
        assert answer_in_short([attempt()], [seen(5)], FIELDS).endswith("asked last, it held what was sent.")
        assert answer_in_short([attempt()], [seen(5, **{FRAUD.enabled.column: None})], FIELDS).endswith(
            "something else, see above."
        )

    def test_the_last_of_several_runs_counts(self) -> None:
        later = attempt(run_id="r2", opened_at=at(9), run_ended_at=at(10), is_rejected=True, rejection="NO")

        said = answer_in_short([attempt(), later], [seen(5)], FIELDS)

        assert said.startswith("Run r2 was the last to send it: rejected: NO.")
