"""How many records have each product while a run goes on, and what that number leaves out."""

from typing import Any

import pytest

from feature_sync.config.names import RECONCILIATION_DAG_ID
from feature_sync.page.facts import Instance, RunFacts
from feature_sync.page.products import BY_VERDICT, NO_BATCH, NO_NOTE, NOT_PLANNED
from feature_sync.page.progress import progress_of
from feature_sync.sending.batches import Batch, PlannedChanges
from tests.feature_sync.page.runs import NOW, SEND, outcome, plan, run

CHECKED = {
    "records": 250,
    "products": [
        {"product": "fraud", "label": "Fraud", "now": 10, "after": 37},
        {"product": "income", "label": "Income", "now": 40, "after": 30},
    ],
}
CHANGES = PlannedChanges({number: {"fraud": 2**number, "income": -number} for number in range(1, 6)}).as_note()
NOTE = {"changes": CHANGES}
BY_ACCEPTED = "Now: by what Salesforce has accepted. {}The verdict looks for itself."
WHOLE = outcome("succeeded")


def shown(*states: str | None, notes: dict[Any, Any] | None = None, **more: Any) -> tuple[list[int | None], str]:
    """What the page says is now, product by product, and what it says about that. Its plan has left a note."""
    results = {"check_payload": CHECKED, **more.pop("results", {})}
    facts = run(*states, results=results, **more)
    left = {key: {**facts.notes.get(key, {}), **each} for key, each in (notes or {("plan_batches", -1): NOTE}).items()}
    facts = run(*states, results=results, **{**more, "notes": left})
    answer = progress_of(facts)
    return [each["now"] for each in answer["products"]], answer["products_note"]


class TestAccepted:
    def test_before_the_first_batch_it_is_what_was_before(self) -> None:
        assert shown(None, None) == ([10, 40], BY_ACCEPTED.format(""))

    def test_each_batch_that_was_accepted_whole_counts(self) -> None:
        assert shown("success", "success", "running", None, left={0: WHOLE, 1: WHOLE}) == (
            [10 + 2 + 4, 40 - 1 - 2],
            BY_ACCEPTED.format(""),
        )

    @pytest.mark.parametrize(
        ("left", "said"),
        [
            ({0: WHOLE, 1: outcome("failed", 3)}, "1 batch with rejected records is not counted yet. "),
            (
                {0: WHOLE, 1: outcome("failed", 3), 2: outcome("failed", 1)},
                "2 batches with rejected records are not counted yet. ",
            ),
            ({0: WHOLE, 1: outcome("over_limit", 30)}, "1 batch with rejected records is not counted yet. "),
            ({0: WHOLE, 1: outcome("failed", None)}, "Nobody knows yet what Salesforce has of 1 batch, so that is not counted. "),
            ({0: WHOLE, 1: outcome("differs", 0)}, "Nobody knows yet what Salesforce has of 1 batch, so that is not counted. "),
            ({0: WHOLE, 1: outcome("halted", None)}, ""),
        ],
        ids=["rejected", "two-rejected", "a-probe-that-was-too-large", "unknown", "differs", "held-back"],
    )
    def test_what_is_known_only_in_part_is_left_out_and_said(self, left: dict[int, Any], said: str) -> None:
        states = [
            "success",
            *("success" if each["outcome"]["status"] == "over_limit" else "failed" for each in [*left.values()][1:]),
        ]

        assert shown(*states, left=left) == ([12, 39], BY_ACCEPTED.format(said))

    @pytest.mark.parametrize(
        ("state", "tries", "is_said"),
        [
            (None, 0, False),
            (None, 1, True),
            ("scheduled", 1, False),
            ("running", 1, False),
            ("deferred", 2, True),
            ("up_for_retry", 1, True),
            ("upstream_failed", 1, True),
            ("skipped", 1, False),
        ],
    )
    def test_of_a_batch_that_is_sent_again_nobody_knows_what_salesforce_has(
        self, state: str | None, tries: int, is_said: bool
    ) -> None:
        """A batch that was accepted and cleared is not said to be as before."""
        tried = Instance(SEND, 1, state, try_number=tries)

        now, said = shown("success", tasks=(tried,), left={0: WHOLE}, results={"plan_batches": plan(2)})

        assert now == [12, 39]
        assert ("Nobody knows yet what Salesforce has of 1 batch" in said) is is_said

    def test_the_probes_or_the_pilot_count_with_the_batches_that_follow(self) -> None:
        notes = {
            ("plan_probes", -1): {"return_value": plan(1), "changes": PlannedChanges({1: {"fraud": 100, "income": 0}}).as_note()},
            ("probe.send", 0): WHOLE,
            ("plan_batches", -1): {
                "return_value": plan(3)[1:],
                "changes": PlannedChanges({2: {"fraud": 4, "income": -2}, 3: {"fraud": 8, "income": -3}}).as_note(),
            },
            (SEND, 0): WHOLE,
        }
        tasks = (Instance("probe.send", 0, "success"), Instance(SEND, 0, "success"), Instance(SEND, 1, None))

        assert shown(tasks=tasks, notes=notes)[0] == [10 + 100 + 4, 40 - 2]


class TestNotKnown:
    def test_without_a_note_nobody_knows(self) -> None:
        notes: dict[Any, Any] = {("plan_batches", -1): {}}

        assert shown("success", left={0: WHOLE}, notes=notes) == ([None, None], NO_NOTE)
        assert shown(None, notes=notes) == ([None, None], NO_NOTE)

    def test_the_note_of_one_plan_is_not_enough(self) -> None:
        notes = {
            ("plan_probes", -1): {"return_value": plan(1)},
            ("probe.send", 0): WHOLE,
            ("plan_batches", -1): {"return_value": plan(2)[1:], **NOTE},
        }

        assert shown(tasks=(Instance("probe.send", 0, "success"),), notes=notes) == ([None, None], NO_NOTE)

    def test_a_note_that_lacks_an_accepted_batch_is_not_enough(self) -> None:
        notes = {("plan_batches", -1): {"changes": PlannedChanges({2: {"fraud": 1, "income": 1}}).as_note()}}

        assert shown("success", left={0: WHOLE}, notes=notes) == ([None, None], NO_NOTE)

    def test_a_product_that_the_note_lacks_is_not_known(self) -> None:
        notes = {("plan_batches", -1): {"changes": PlannedChanges({1: {"fraud": 2}}).as_note()}}

        assert shown("success", left={0: WHOLE}, notes=notes)[0] == [12, None]

    @pytest.mark.parametrize(("state", "said"), [("running", NOT_PLANNED), ("success", NO_BATCH)])
    def test_before_the_plan_nobody_counts(self, state: str, said: str) -> None:
        assert shown(state=state, notes={("plan_batches", -1): {}}) == ([None, None], said)


class TestVerdict:
    def test_what_the_verdict_found_counts_instead(self) -> None:
        found = {"result": "r", "products": [{"product": "fraud", "label": "Fraud", "enabled_in_salesforce": 36}]}
        notes = {("plan_batches", -1): NOTE, ("validate", -1): {"found": found}}

        assert shown("success", "failed", left={0: WHOLE, 1: outcome("failed", 3)}, notes=notes) == ([36, None], BY_VERDICT)

    def test_a_weekly_run_has_no_before(self) -> None:
        found = {
            "result": "r",
            "products": [{"product": "f", "label": "F", "enabled_in_salesforce": 4, "enabled_in_warehouse": 5}],
        }
        facts = RunFacts(
            RECONCILIATION_DAG_ID, "scheduled__1", "scheduled", "failed", NOW, notes={("conclude", -1): {"found": found}}
        )

        answer = progress_of(facts)

        assert answer["products"] == [{"label": "F", "before": None, "now": 4, "should_be": 5}]
        assert answer["products_note"] == BY_VERDICT


def test_a_note_of_a_thousand_batches_is_small_and_can_be_read_back() -> None:
    names = [f"verification_of_rent_{number}" for number in range(7)]
    batches = [Batch(number, 1, 50, 50, changes=dict.fromkeys(names, -number)) for number in range(1, 1001)]
    note = PlannedChanges.of(batches).as_note()

    assert len(str(note)) < 50_000
    assert PlannedChanges.from_note(note).by_batch == {batch.number: batch.changes for batch in batches}
