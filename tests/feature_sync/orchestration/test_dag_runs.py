"""A run that is not what was asked for ends at its first task."""

from types import SimpleNamespace
from typing import Any

import pytest

from feature_sync.config.problems import RunConfigError
from feature_sync.orchestration import dag_runs
from feature_sync.orchestration.dag_runs import asked_params, refuse_config


def start(monkeypatch: pytest.MonkeyPatch, params: dict[str, Any], conf: dict[str, Any] | None, run_type: str = "manual") -> None:
    """What Airflow tells a task of its run."""
    context = {"params": params, "dag_run": SimpleNamespace(conf=conf, run_type=run_type)}
    monkeypatch.setattr(dag_runs, "get_current_context", lambda: context)


def test_the_params_are_those_that_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    start(monkeypatch, {"dry_run": True, "batch_size": 50}, {"dry_run": True})

    assert asked_params() == {"dry_run": True, "batch_size": 50}


def test_a_dry_run_that_would_send_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    start(monkeypatch, {"dry_run": False, "batch_size": 50}, {"dry_run": True})

    with pytest.raises(RunConfigError, match="dry_run was asked for as True, but the run would use False"):
        asked_params()


@pytest.mark.parametrize("conf", [None, {}])
def test_a_run_by_the_clock_asks_for_nothing(monkeypatch: pytest.MonkeyPatch, conf: dict[str, Any] | None) -> None:
    start(monkeypatch, {}, conf, "scheduled")

    refuse_config()


@pytest.mark.parametrize(("conf", "run_type"), [({"dry_run": True}, "manual"), (None, "backfill")])
def test_a_weekly_run_that_was_asked_for_something_is_refused(
    monkeypatch: pytest.MonkeyPatch, conf: dict[str, Any] | None, run_type: str
) -> None:
    start(monkeypatch, {}, conf, run_type)

    with pytest.raises(RunConfigError):
        refuse_config()
