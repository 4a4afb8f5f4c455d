"""The weekly run on workers without a shared disk, in an Airflow that loads no class: what passes between tasks is plain JSON."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from feature_sync.deployment.deploy import Deployment, deploy_mappings, deploy_query, plan_deployment
from feature_sync.reconciliation.accepting import accept
from feature_sync.reconciliation.comparison import DriftError, check_still_allowed, compare, conclude
from feature_sync.reconciliation.verdict import Finding
from tests.sandbox.client import DATASET, PROPERTIES, Sandbox
from tests.strict_site import stored
from tests.wire.few import NOT_HEALED, Few


@pytest.mark.parametrize("healing", ["off", "ask", "auto"])
def test_the_verdict_needs_no_file_of_the_comparison(
    few: Few, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, healing: str
) -> None:
    monkeypatch.setenv("FEATURE_SYNC_HEALING", healing)
    one = few.ids()[0]
    few.sql(f"UPDATE {{replica}} SET fraud_detection_enabled_c = FALSE WHERE snappt_property_id_c = '{one}'")

    monkeypatch.setenv("FEATURE_SYNC_OUTPUT_PATH", str(tmp_path / "compares"))
    found = Finding.from_xcom(stored(compare("weekly/é").as_xcom()))
    monkeypatch.setenv("FEATURE_SYNC_OUTPUT_PATH", str(tmp_path / "concludes"))

    assert found.mismatched == 1
    assert bool(found.question) is (healing == "ask")
    if healing == "ask":
        assert check_still_allowed(found) == 1
    with pytest.raises(DriftError, match="1 of 8 properties differ"):
        conclude("weekly/é", found, NOT_HEALED)
    few.sql(f"UPDATE {{replica}} SET fraud_detection_enabled_c = TRUE WHERE snappt_property_id_c = '{one}'")
    assert stored(conclude("weekly/é", found, NOT_HEALED))["properties_checked"] == 8
    files = [
        "mismatches.csv",
        "mismatches.xlsx",
        "missing_records.csv",
        "missing_records.xlsx",
        "report.html",
        "validation.json",
    ]
    assert names_in(tmp_path / "compares") == (files if healing == "ask" else []), (
        "only then somebody looks while the run goes on"
    )
    assert names_in(tmp_path / "concludes") == files


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.*") if path.is_file())


def test_an_acceptance_is_plain_json(few: Few) -> None:
    one = few.ids()[0]
    few.sql(f"UPDATE {{replica}} SET fraud_detection_enabled_c = FALSE WHERE snappt_property_id_c = '{one}'")
    until = (datetime.now(UTC) + timedelta(days=7)).date().isoformat()

    result = accept(
        {"class": "wrongly_false", "ids": [one], "reason": "known since the merger", "accepted_until": until}, "weekly/é", "ada"
    )

    assert stored(result)["differences"] == 1


def test_a_deployment_is_plain_json(sandbox: Sandbox) -> None:
    dataset = sandbox.census("GET", f"datasets/{DATASET}").json()["data"]
    sync = sandbox.census("GET", f"syncs/{PROPERTIES}").json()["data"]
    try:
        plan = Deployment.from_xcom(stored(plan_deployment().as_xcom()))

        assert stored(deploy_query(plan))
        assert stored(deploy_mappings(plan))
    finally:
        sandbox.census("PATCH", f"datasets/{DATASET}", json={"query": dataset["query"]})
        changed = {name: sync[name] for name in ("mappings", "operation", "source_attributes")}
        sandbox.census("PATCH", f"syncs/{PROPERTIES}", json=changed)
