"""Which replica a task waits for: one that shows what was sent, and for the weekly run one that was replicated lately."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException
from airflow.triggers.base import TaskSuccessEvent

from feature_sync.replica import sensors
from feature_sync.replica.sensors import HealedReplicaSensor, RunReplicaSensor, WholeReplicaSensor
from feature_sync.replica.state import ReplicaStalledError
from feature_sync.replica.triggers import RunReplicaTrigger, WholeReplicaTrigger
from tests.sandbox.client import Sandbox
from tests.wire.campaign import Campaign
from tests.wire.firing import deferred, fire

PAST = "2020-01-01T00:00:00+00:00"
FUTURE = "2100-01-01T00:00:00+00:00"


class TestRun:
    """Waiting for what one run has sent."""

    @pytest.fixture(autouse=True)
    def _planned(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sensors, "has_succeeded", lambda *_: True)

    def sensor(self, *, is_dry_run: bool = False) -> RunReplicaSensor:
        return RunReplicaSensor(task_id="wait_for_copy", planned_by="plan_batches", is_dry_run=str(is_dry_run))

    def context(self, campaign: Campaign) -> Any:
        ti = SimpleNamespace(dag_id="product_feature_backfill", run_id=campaign.run_id, id="a try", xcom_push=lambda **_: None)
        return {"ti": ti}

    def test_it_ends_from_its_trigger_when_the_replica_has_caught_up(self, sent: Campaign) -> None:
        trigger = deferred(self.sensor(), self.context(sent))
        assert isinstance(trigger, RunReplicaTrigger)
        sent.sandbox.settings(replication_stalled=False)

        assert isinstance(fire(trigger), TaskSuccessEvent)
        assert self.sensor().execute(self.context(sent)) is None  # type: ignore[func-returns-value]

    def test_a_replication_that_stands_still_is_an_error_after_the_limit_and_never_a_pass(
        self, sent: Campaign, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        waiting = self.sensor()
        trigger = deferred(waiting, self.context(sent))
        monkeypatch.setenv("FEATURE_SYNC_COPY_LIMIT_SECONDS", "1")

        event = fire(trigger)

        with pytest.raises(ReplicaStalledError, match="4 of 4 records are not shown yet"):
            waiting.fail(self.context(sent), event.payload)
        with pytest.raises(ReplicaStalledError, match=r"limit 1 s\).*replication of Salesforce"):
            waiting.execute(self.context(sent))

    @pytest.mark.parametrize("planned", [True, False], ids=["planned", "refused"])
    def test_it_is_skipped_in_a_dry_run_and_when_the_run_never_came_to_its_batches(
        self, sent: Campaign, monkeypatch: pytest.MonkeyPatch, planned: bool
    ) -> None:
        monkeypatch.setattr(sensors, "has_succeeded", lambda *_: planned)

        with pytest.raises(AirflowSkipException):
            self.sensor(is_dry_run=planned).execute(self.context(sent))


class TestWhole:
    """Waiting for what all runs have sent, and for a replication of the last days."""

    def sensor(self) -> WholeReplicaSensor:
        return WholeReplicaSensor(task_id="wait_for_copy")

    def context(self, hours_ago: float = 0) -> Any:
        """Of a task that began so many hours ago."""
        return {"ti": SimpleNamespace(start_date=datetime.now(UTC) - timedelta(hours=hours_ago))}

    def test_a_task_that_looks_again_has_no_more_time_than_it_had(self, sent: Campaign) -> None:  # noqa: ARG002
        with pytest.raises(ReplicaStalledError, match="Nothing was compared"):
            self.sensor().resume(self.context(hours_ago=3), {})

    def test_a_replica_that_is_fresh_is_not_waited_for(self, sandbox: Sandbox) -> None:
        sandbox.control("POST", "replication", {})

        assert self.sensor().execute(self.context()) is None  # type: ignore[func-returns-value]

    def test_records_that_any_run_has_sent_are_waited_for(self, sent: Campaign) -> None:
        trigger = deferred(self.sensor(), self.context())
        assert isinstance(trigger, WholeReplicaTrigger)
        sent.sandbox.settings(replication_stalled=False)

        assert isinstance(fire(trigger), TaskSuccessEvent)

    @pytest.mark.usefixtures("sent")
    def test_a_replication_that_stands_still_is_a_failure_after_the_limit(self) -> None:
        event = fire(WholeReplicaTrigger(0.1, PAST, ends_task=True))

        assert not isinstance(event, TaskSuccessEvent)
        assert "4 of " in event.payload["error"]
        assert "Nothing was compared." in event.payload["error"]
        with pytest.raises(ReplicaStalledError, match="is stale"):
            self.sensor().fail({}, event.payload)  # type: ignore[typeddict-item]

    def test_a_replica_that_nobody_replicates_any_more_is_stale(self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        sandbox.control("POST", "replication", {})  # what other tests have sent
        sandbox.sql("CREATE OR REPLACE TABLE crm.salesforce.old_copy AS SELECT * FROM crm.salesforce.product_property_c")
        sandbox.sql("UPDATE crm.salesforce.old_copy SET _fivetran_synced = current_timestamp() - INTERVAL 73 HOURS")
        monkeypatch.setenv("FEATURE_SYNC_SALESFORCE_TABLE", "crm.salesforce.old_copy")

        deferred(self.sensor(), self.context())
        event = fire(WholeReplicaTrigger(0.1, PAST, ends_task=True))

        assert "COPY_AGE_LIMIT_SECONDS allows 259,200" in event.payload["error"]
        monkeypatch.setenv("FEATURE_SYNC_COPY_AGE_LIMIT_SECONDS", "300000")
        assert isinstance(fire(WholeReplicaTrigger(0.1, FUTURE, ends_task=True)), TaskSuccessEvent)

    def test_an_empty_replica_is_stale(self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        sandbox.sql(
            "CREATE OR REPLACE TABLE crm.salesforce.empty_copy AS SELECT * FROM crm.salesforce.product_property_c WHERE FALSE"
        )
        monkeypatch.setenv("FEATURE_SYNC_SALESFORCE_TABLE", "crm.salesforce.empty_copy")

        deferred(self.sensor(), self.context())


class TestHealed:
    """Waiting for what a healing has sent."""

    def sensor(self, monkeypatch: pytest.MonkeyPatch, state: str | None) -> HealedReplicaSensor:
        monkeypatch.setattr(sensors, "task_states", lambda _dag, _run, state: {"state": ends[state]})
        ends = {"heal": state}
        return HealedReplicaSensor(task_id="wait_for_healed_copy", after="heal")

    def context(self) -> Any:
        ti = SimpleNamespace(dag_id="weekly", run_id="r", id="a try", start_date=datetime.now(UTC), xcom_push=lambda **_: None)
        return {"ti": ti}

    @pytest.mark.parametrize("state", ["success", "failed"])
    def test_it_waits_for_it_whatever_became_of_it(self, sent: Campaign, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
        trigger = deferred(self.sensor(monkeypatch, state), self.context())
        assert isinstance(trigger, WholeReplicaTrigger)
        sent.sandbox.settings(replication_stalled=False)

        assert isinstance(fire(trigger), TaskSuccessEvent)

    @pytest.mark.usefixtures("sent")
    @pytest.mark.parametrize("state", ["skipped", "upstream_failed", None])
    def test_it_is_skipped_if_nothing_was_healed(self, monkeypatch: pytest.MonkeyPatch, state: str | None) -> None:
        with pytest.raises(AirflowSkipException):
            self.sensor(monkeypatch, state).execute(self.context())
