"""``make test-next`` itself: what it compares, and that its list of known failures is true."""

from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from tests import next_airflow
from tests.next_airflow import KnownFailure, changes, known_failures, main, pinned_versions

pytest_plugins = ["pytester"]
TEXT = "# a comment\napache-airflow==3.3.2\n    # via x\ncolorama==0.4.6 ; sys_platform == 'win32'\npyarrow==1.0\n"


def test_each_known_failure_names_a_test_that_exists() -> None:
    for known in known_failures():
        path, _, rest = known.test.partition("::")
        text = (next_airflow.PROJECT / path).read_text(encoding="utf-8")
        assert not rest or f"def {rest.split('::')[-1].partition('[')[0]}" in text, known.test
        assert known.reason.strip()
    assert all(said.startswith("Fails by chance, fault of ") for said in next_airflow.failures_by_chance())


def test_each_stage_names_folders_and_files_that_exist() -> None:
    named = [each for arguments in next_airflow.STAGES.values() for each in arguments if each.startswith("tests/")]

    assert [each for each in named if not (next_airflow.PROJECT / each).exists()] == []


def test_versions_are_read_from_a_compiled_file_and_compared() -> None:
    pinned = pinned_versions(TEXT)

    assert pinned == {"apache-airflow": "3.3.2", "colorama": "0.4.6", "pyarrow": "1.0"}
    assert changes(pinned, {"apache-airflow": "3.4.0b2", "pyarrow": "1.0", "httpx2": "2.0"}) == [
        "  apache-airflow                       3.3.2 -> 3.4.0b2",
        "  colorama                             0.4.6 -> none",
        "  httpx2                                none -> 2.0",
    ]


@pytest.mark.parametrize("newest", ["3.3.2", "3.3.2rc1", "3.2.9"])
def test_an_index_without_a_newer_airflow_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], newest: str
) -> None:
    monkeypatch.setattr(next_airflow, "newest_release", lambda: Version(newest))
    monkeypatch.setattr(next_airflow, "pinned_versions", lambda _: {"apache-airflow": "3.3.2"})

    assert main() == 0

    assert "has no Airflow that is newer than the one that we use, 3.3.2" in capsys.readouterr().out


def test_a_known_failure_is_expected_and_its_pass_is_not(pytester: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makepyfile(
        test_it="def test_a():\n    assert False\n\n\ndef test_b():\n    pass\n\n\ndef test_c():\n    assert False\n"
    )
    known = [KnownFailure(f"test_it.py::test_{name}", next_airflow.Fault.AIRFLOW, "not ready") for name in "ab"]
    monkeypatch.setattr(next_airflow, "known_failures", lambda: known)

    outcome = pytester.inline_run("-p", "no:cacheprovider", plugins=[next_airflow])

    passed, skipped, failed = outcome.listoutcomes()
    assert passed == []
    assert [report.wasxfail for report in skipped] == ["fault of airflow: not ready"]
    assert [Path(report.nodeid).name for report in failed] == ["test_it.py::test_b", "test_it.py::test_c"]
