"""Output path, alerts, the end of API v1, clocks."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from feature_sync.checks.findings import Verdict
from feature_sync.config.settings import load_settings
from feature_sync.storage import run_files
from feature_sync.verify.clocks import clock_finding, difference
from feature_sync.verify.surroundings import api_finding, check_alerts, check_output, option_findings


class TestOutput:
    def look(self, monkeypatch: pytest.MonkeyPatch, path: object) -> Verdict:
        monkeypatch.setenv("FEATURE_SYNC_OUTPUT_PATH", str(path))
        [finding] = check_output(load_settings())
        return finding.verdict

    def test_a_folder_that_may_be_written_is_right_also_if_it_has_to_be_made(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        assert self.look(monkeypatch, tmp_path) is Verdict.RIGHT
        assert self.look(monkeypatch, tmp_path / "new" / "folder") is Verdict.RIGHT
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_of_others_is_wrong(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        asked = []
        monkeypatch.setattr(run_files.os, "access", lambda path, mode, **_: bool(asked.append((Path(path), mode))))

        assert self.look(monkeypatch, tmp_path / "new") is Verdict.WRONG
        assert asked[-1:] == [(tmp_path, os.W_OK | os.X_OK)]

    def test_a_folder_below_a_file_is_wrong(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")

        assert self.look(monkeypatch, tmp_path / "file" / "payloads") is Verdict.WRONG

    def test_of_an_object_store_nobody_knows_without_writing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.look(monkeypatch, "memory://bucket/payloads") is Verdict.NOT_CHECKED


class TestAlerts:
    def look(self) -> Verdict:
        [finding] = check_alerts(load_settings())
        return finding.verdict

    def test_alerts_that_are_off_are_said_to_be_off(self) -> None:
        assert self.look() is Verdict.NOT_CHECKED

    def test_a_connection_that_is_missing_is_wrong_and_one_that_is_there_right(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FEATURE_SYNC_ALERT_CONN_ID", "feature_alerts")
        assert self.look() is Verdict.WRONG

        monkeypatch.setenv("AIRFLOW_CONN_FEATURE_ALERTS", '{"conn_type": "apprise"}')
        assert self.look() is Verdict.RIGHT


@pytest.mark.parametrize(
    ("batches", "overrides", "said"),
    [
        (200, True, []),
        (1_025, True, ["A run with every record has 1,025 batches, but Airflow maps at most 1,024"]),
        (0, False, ["[core] dag_run_conf_overrides_params is off"]),
        (1_025, False, ["[core] dag_run_conf_overrides_params is off", "A run with every record"]),
    ],
)
def test_options_of_airflow_that_would_refuse_a_run_are_wrong(batches: int, overrides: bool, said: list[str]) -> None:
    wrong = [each.text for each in option_findings(batches, 1_024, overrides_params=overrides) if each.verdict is Verdict.WRONG]

    assert len(wrong) == len(said)
    assert all(text.startswith(begin) for text, begin in zip(wrong, said, strict=True))


@pytest.mark.parametrize(
    ("version", "days", "verdict", "said"),
    [
        ("v2", 50, Verdict.RIGHT, "uses API v2."),
        ("v1", 50, Verdict.WRONG, "which ends on 2027-01-15, in 50 days."),
        ("v1", 1, Verdict.WRONG, "in 1 day."),
        ("v1", 0, Verdict.WRONG, "which has ended on 2027-01-15."),
    ],
)
def test_the_days_of_api_v1_are_counted_for_whoever_uses_it(version: str, days: int, verdict: Verdict, said: str) -> None:
    finding = api_finding(version, days)

    assert finding.verdict is verdict
    assert said in finding.text


@pytest.mark.parametrize(
    ("seconds", "verdict", "said"),
    [
        (0, Verdict.RIGHT, "Census's clock is 0 s behind this machine's."),
        (60, Verdict.RIGHT, "60 s ahead of this machine's"),
        (-61, Verdict.WRONG, "61 s behind this machine's, which is more than 60 s."),
        (7200, Verdict.WRONG, "7,200 s ahead of"),
    ],
)
def test_clocks_may_differ_by_less_than_any_time_limit(seconds: float, verdict: Verdict, said: str) -> None:
    finding = clock_finding("Census", timedelta(seconds=seconds))

    assert finding.verdict is verdict
    assert said in finding.text


def test_the_way_of_the_answer_does_not_count() -> None:
    assert abs(difference(lambda: datetime.now(UTC) + timedelta(hours=1)) - timedelta(hours=1)) < timedelta(seconds=5)
