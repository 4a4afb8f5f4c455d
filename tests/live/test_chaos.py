"""The short form of the kill campaign; ``make chaos`` runs the long one."""

import random

import pytest

from tests.live.chaos import Campaign, Phase, Victim, is_seen, long_plan, short_plan
from tests.live.invariants import STAGING
from tests.live.runs import LiveAirflow

SEED = 3


@pytest.mark.live
@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_run_survives_kill_9_of_each_part_and_sends_every_batch_once(live: LiveAirflow) -> None:
    rng = random.Random(SEED)  # noqa: S311 - repeatable on purpose
    campaign = Campaign(live, rng)

    campaign.carry_out(short_plan(rng), 700, batch_size=5)

    assert [kill.victim for kill in campaign.kills] == [
        Victim.TASK,
        Victim.SANDBOX,
        Victim.SCHEDULER_HOST,
        Victim.API_SERVER,
        Victim.TRIGGERER,
    ]


def test_the_long_form_kills_every_part_in_every_phase_at_least_20_times() -> None:
    for seed in range(50):
        steps = [step for plan in long_plan(random.Random(seed)) for batch in plan for step in batch]  # noqa: S311

        assert len(steps) >= 20
        assert {step.victim for step in steps} == set(Victim)
        assert {step.phase for step in steps} == set(Phase) - {Phase.RETRYING}


def test_the_same_seed_gives_the_same_kills() -> None:
    assert long_plan(random.Random(5)) == long_plan(random.Random(5))  # noqa: S311
    assert long_plan(random.Random(5)) != long_plan(random.Random(6))  # noqa: S311


def test_a_run_that_has_ended_is_not_being_recorded_before_its_outcome_is_written() -> None:
    def statement(sql: str) -> dict[str, str]:
        return {"kind": "warehouse.statement", "sql": sql}

    merge = statement("MERGE INTO crm.sfdc_dbx.feature_sync_log AS sync_log")
    entries = [statement(STAGING), merge, {"kind": "census.run.started"}, merge, {"kind": "census.run.ended"}]

    assert is_seen(Phase.POLLING, entries)
    assert not is_seen(Phase.RECORDING, entries)
    assert is_seen(Phase.RECORDING, [*entries, merge])
