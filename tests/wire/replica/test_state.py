"""How far the replica has caught up with a run."""

import time
from datetime import timedelta

import pytest

from feature_sync.backfill.validation import SalesforceDiffersError
from feature_sync.config.settings import load_settings
from feature_sync.replica.state import ReplicaStalledError, check_run_replica
from tests.sandbox.client import Sandbox, eventually
from tests.wire.planned_runs import Plan


def test_a_replica_that_lacks_the_last_batch_is_never_fresh(
    sandbox: Sandbox, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = plan("lost-at-the-end", 3)
    sandbox.fault("run", "silent_loss", times=1)
    run.send()
    time.sleep(1.1)  # several passes of the replication
    monkeypatch.setenv("FEATURE_SYNC_COPY_LIMIT_SECONDS", "1")

    assert run.replica_state().records_stale == 3
    with pytest.raises(ReplicaStalledError, match=r"3 of 3 records are not shown yet.*never reached Salesforce"):
        check_run_replica(run.id, load_settings())
    with pytest.raises(SalesforceDiffersError, match="3 of 3 properties differ"):
        run.validate()


def test_while_the_replication_stands_still_the_replica_is_not_fresh(
    sandbox: Sandbox, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = plan("stalled", 3)
    sandbox.settings(replication_stalled=True)
    run.send()
    time.sleep(0.5)

    stalled = check_run_replica(run.id, load_settings())
    monkeypatch.setenv("FEATURE_SYNC_COPY_LIMIT_SECONDS", "1")
    eventually(lambda: run.replica_state().since_last_send > timedelta(seconds=1))
    with pytest.raises(ReplicaStalledError, match="3 of 3 records"):
        check_run_replica(run.id, load_settings())
    sandbox.settings(replication_stalled=False)
    fresh = run.until_fresh()

    assert (stalled.records_sent, stalled.records_stale, stalled.is_fresh) == (3, 3, False)
    assert (fresh.records_sent, fresh.records_stale) == (3, 0)
    assert run.validate().result == "0 properties with mismatched feature data"


def test_a_run_that_sent_nothing_is_not_waited_for(sandbox: Sandbox, plan: Plan) -> None:  # noqa: ARG001
    state = plan("nothing-sent", 2).replica_state()

    assert (state.records_sent, state.records_stale, state.is_fresh) == (0, 0, True)
