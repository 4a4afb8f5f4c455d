"""What is done about a drift: from counts to a verdict and to sentences."""

import pytest

from feature_sync.config.settings import HealingMode
from feature_sync.reconciliation.drift import UNHEALABLE, Drift, DriftClass
from feature_sync.reconciliation.verdict import count_differences, decide, drift_problems
from tests.feature_sync.reconciliation.drifts import differing, found


class TestDecision:
    @pytest.mark.parametrize("mode", HealingMode)
    def test_if_no_field_differs_nothing_is_healed(self, mode: HealingMode) -> None:
        verdict = decide(found(missing_in_salesforce=3, key_mismatch=1), mode, 100, 1.0)

        assert (verdict.heals, verdict.asks) == (False, False)

    @pytest.mark.parametrize(
        ("mode", "heals", "asks"),
        [(HealingMode.OFF, False, False), (HealingMode.ASK, True, True), (HealingMode.AUTO, True, False)],
    )
    def test_the_mode_decides_what_is_done_about_a_small_drift(self, mode: HealingMode, heals: bool, asks: bool) -> None:
        verdict = decide(differing(5), mode, 100, 0.01)

        assert (verdict.heals, verdict.asks) == (heals, asks)

    @pytest.mark.parametrize(
        ("records", "records_limit", "share_limit", "heals"),
        [
            pytest.param(10, 10, 0.01, True, id="both-limits-reached"),
            pytest.param(11, 10, 1.0, False, id="one-record-too-many"),
            pytest.param(11, 1_000, 0.01, False, id="share-too-large"),
            pytest.param(290, 1_000, 0.29, True, id="a-share-no-float-holds"),
            pytest.param(1, 0, 1.0, False, id="limit-of-none"),
        ],
    )
    def test_auto_heals_up_to_both_limits(self, records: int, records_limit: int, share_limit: float, heals: bool) -> None:
        assert decide(differing(records), HealingMode.AUTO, records_limit, share_limit).heals is heals

    def test_accepted_records_do_not_count_towards_the_limits(self) -> None:
        drift = found(properties_mismatched=500, properties_accepted=495, properties_to_send=5)

        assert decide(drift, HealingMode.AUTO, 5, 0.005).heals
        assert not decide(found(properties_mismatched=5, properties_accepted=5), HealingMode.AUTO, 5, 1.0).heals

    def test_a_drift_over_the_limits_says_which(self) -> None:
        reason = decide(differing(500), HealingMode.AUTO, 100, 0.01).reason

        assert "500 of 1,000 records differ (50.00%)" in reason
        assert "HEALING_RECORDS_LIMIT allows 100" in reason
        assert "HEALING_SHARE_LIMIT allows 1.00%" in reason

    def test_a_person_may_approve_a_drift_over_the_limits(self) -> None:
        assert decide(differing(1_000), HealingMode.ASK, 0, 0.0).asks


class TestProblems:
    def problems(self, drift: Drift) -> list[str]:
        return drift_problems(drift, decide(drift, HealingMode.OFF, 0, 0))

    def test_no_difference_is_no_problem(self) -> None:
        assert self.problems(found()) == []

    def test_a_comparison_of_nothing_is_a_problem(self) -> None:
        [problem] = self.problems(found(properties_checked=0))

        assert "No record was checked" in problem

    def test_what_differs_is_counted_by_class_with_what_to_do(self) -> None:
        [problem] = self.problems(
            found(properties_mismatched=4, properties_to_send=4, mismatched=4, wrongly_false=2, wrongly_true=1, date_differs=3)
        )

        assert "4 of 1,000 properties differ" in problem
        assert "2 flags are False in Salesforce" in problem
        assert "1 flag is True in Salesforce" in problem
        assert "3 products have another date" in problem
        assert "scope=mismatched" in problem

    @pytest.mark.parametrize("kind", DriftClass)
    def test_accepted_differences_alone_are_no_problem_but_are_counted(self, kind: DriftClass) -> None:
        counts = {kind.value: 2, f"{kind.value}_accepted": 2}
        records = {} if kind in UNHEALABLE else {"properties_mismatched": 2, "properties_accepted": 2}
        drift = found(**counts, **records)

        assert self.problems(drift) == []
        assert count_differences(drift) == "2 differences: 0 new, 2 accepted"

    @pytest.mark.parametrize("kind", UNHEALABLE)
    def test_one_new_difference_beside_accepted_ones_is_a_problem_with_both_numbers(self, kind: DriftClass) -> None:
        drift = found(**{kind.value: 7, f"{kind.value}_accepted": 6})

        [problem] = self.problems(drift)

        assert problem.startswith(f"{kind.found(1)} (and 6 accepted). ")
        assert count_differences(drift) == "7 differences: 1 new, 6 accepted"

    def test_records_that_are_held_back_are_named_with_what_sends_them(self) -> None:
        drift = found(
            properties_mismatched=3, properties_accepted=1, properties_held_back=2, wrongly_false=4, wrongly_false_accepted=2
        )

        differing, held_back = self.problems(drift)

        assert differing.startswith("2 of 1,000 properties differ from the warehouse (and 1 accepted): 2 flags are False")
        assert "Every record with a new difference is left alone; nothing is sent." in differing
        assert held_back.startswith("2 properties have a new difference beside one that is accepted")
        assert "scope=property_ids" in held_back

    @pytest.mark.parametrize("kind", UNHEALABLE)
    def test_differences_that_no_backfill_corrects_are_problems_even_if_no_field_differs(self, kind: DriftClass) -> None:
        [problem] = self.problems(found(**{kind.value: 7}))

        assert problem.startswith(f"7 {kind.description}")
        assert "A backfill cannot correct that." in problem
