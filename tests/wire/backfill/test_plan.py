import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from feature_sync.backfill.payload import check_payload, export_csv, freeze_payload
from feature_sync.backfill.plan import MAX_SIBLINGS, plan_batches, plan_probes
from feature_sync.config.settings import load_settings
from feature_sync.sending.batches import Batch
from feature_sync.storage.warehouse import Warehouse
from tests.sandbox.client import Sandbox
from tests.wire.backfill.payloads import DAY, SeenFromOutside, records_released, rows_of, run_steps
from tests.wire.campaign import Campaign


class TestDryRun:
    @pytest.fixture
    def conf(self, incident_ids: list[str]) -> dict[str, Any]:
        return {"scope": "property_ids", "property_ids": incident_ids[:7], "batch_size": 3, "dry_run": True}

    def test_it_ends_after_the_plan_shows_what_would_change_and_sends_nothing(
        self, sandbox: Sandbox, conf: dict[str, Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "feature_sync")
        outside = SeenFromOutside(sandbox)

        frozen = run_steps(conf, "dry")

        assert frozen.batches == []
        assert [len(rows_of(path)) for path in frozen.parts()] == [3, 3, 1]
        assert (frozen.preview["records"], frozen.preview["batches"]) == (7, 3)
        assert outside.effects == []
        # Only the preview asks Census: for the neighbours that may start during the run, and for the regular sync.
        requests = [(entry["method"], entry["path"]) for entry in sandbox.journal("census.request", outside.after)]
        regular = [("GET", "/api/v2/syncs/4712"), ("GET", "/api/v2/datasets/815")]
        assert sorted(requests) == sorted([("GET", "/api/v2/syncs?page=1&per_page=100"), *regular])
        assert records_released(sandbox, "dry") == 0
        assert "| Fraud Detection      |          0 |          7 |          7 |          0 |" in caplog.text
        assert "Dry run: no batch is sent." in caplog.text

    def test_only_the_dry_run_keeps_it_from_sending(self, sandbox: Sandbox, conf: dict[str, Any]) -> None:  # noqa: ARG002
        assert len(run_steps(conf | {"dry_run": False}, "not-dry").batches) == 3


RECORDS, SIZE, SIBLINGS = 60, 30, 26
"""A company with 26 of 60 records: in the order of the keys one batch gets all of them, spread each gets 13."""


@dataclass(frozen=True)
class Skewed:
    sandbox: Sandbox
    ids: list[str]

    def plan(self, run_id: str, **conf: object) -> list[Batch]:
        whole = {"scope": "property_ids", "property_ids": self.ids, "batch_size": SIZE} | conf
        freeze_payload(whole, run_id)
        check_payload(whole, run_id)
        export_csv(run_id, DAY)
        plan_probes(whole, run_id)
        plan_batches(whole, run_id)
        with Warehouse(load_settings()) as warehouse:
            return [Batch(**row) for row in warehouse.fetch_all("backfill/select_batches", {"run_id": run_id})]

    def rejected(self, run_id: str, batches: list[Batch]) -> list[int]:
        """How many records Salesforce rejects of each batch when it allows 12 repeated updates."""
        self.sandbox.settings(flow_duplicate_parents_limit=MAX_SIBLINGS)
        with Warehouse(load_settings()) as warehouse:
            campaign = Campaign(self.sandbox, warehouse, run_id, batches, self.sandbox.seq())
            outcomes = [campaign.send(batch.number, wait_seconds=-2) for batch in batches]
        return [len(outcome.rejected or ()) for outcome in outcomes]


@pytest.fixture
def skewed(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Skewed]:
    monkeypatch.setenv("FEATURE_SYNC_GUARD_FEATURE_ROW_SHARE", "0.5")
    rows = sandbox.sql(
        "SELECT replica.snappt_property_id_c, properties.company_id FROM crm.salesforce.product_property_c AS replica"
        " JOIN rds.pg_rds_public.properties ON CAST(properties.id AS STRING) = replica.snappt_property_id_c"
        f" WHERE CAST(replica.created_date AS DATE) = '2025-11-21' ORDER BY replica.reverse_etl_id_c LIMIT {RECORDS}"
    )
    ids = [row[0] for row in rows]

    def set_companies(companies: dict[str, int]) -> None:
        cases = " ".join(f"WHEN {one} THEN {company}" for one, company in companies.items())
        sandbox.sql(
            f"UPDATE rds.pg_rds_public.properties SET company_id = CASE id {cases} END WHERE id IN ({', '.join(companies)})"
        )

    set_companies({one: 900_000 if number < SIBLINGS else 900_001 + number for number, one in enumerate(ids)})
    yield Skewed(sandbox, ids)
    set_companies(dict(rows))


def test_batches_that_fail_in_the_order_of_the_keys_pass_when_records_are_spread(
    skewed: Skewed, monkeypatch: pytest.MonkeyPatch
) -> None:
    spread = skewed.plan("spread")
    assert [(batch.records, batch.siblings) for batch in spread] == [(30, 12), (30, 12)]
    assert skewed.rejected("spread", spread) == [0, 0]

    monkeypatch.setenv("FEATURE_SYNC_PARENT_COLUMN", "")
    plain = skewed.plan("plain")
    assert [batch.records for batch in plain] == [30, 30]
    assert skewed.rejected("plain", plain) == [30, 0]


def test_too_many_records_of_one_company_are_logged(skewed: Skewed, caplog: pytest.LogCaptureFixture) -> None:
    ids = skewed.ids[:SIBLINGS] + skewed.ids[-4:]

    batches = Skewed(skewed.sandbox, ids).plan("crowded")

    assert [(batch.records, batch.siblings) for batch in batches] == [(30, 25)]
    assert "In 1 batch more than 12 records are not the first one of their parent, up to 25" in caplog.text


@pytest.mark.parametrize("size", [7, 13, 50, 60])
def test_the_number_of_batches_stays_the_least_and_every_record_has_one_place(skewed: Skewed, size: int) -> None:
    run_id = f"sizes-{size}"

    batches = skewed.plan(run_id, batch_size=size)

    assert [batch.records for batch in batches] == [size] * (RECORDS // size) + ([RECORDS % size] if RECORDS % size else [])
    assert [(batch.first, batch.last) for batch in batches][-1][1] == RECORDS
    with Warehouse(load_settings()) as warehouse:
        keys = warehouse.fetch_all(
            "sending/select_batch_keys", {"run_id": run_id, "batch_number": 1, "resends_attempt": None, "attempt": 1}
        )
    assert len({row["upsert_key"] for row in keys}) == batches[0].records
    full = [batch.siblings for batch in batches if batch.records == size]
    assert max(full) - min(full) <= 1, "the company is spread evenly"
