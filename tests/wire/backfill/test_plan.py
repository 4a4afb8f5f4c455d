import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from feature_sync.backfill.payload import check_payload, export_csv, freeze_payload, release_payload
from feature_sync.backfill.plan import MAX_SIBLINGS, plan_batches, plan_probes, read_batches
from feature_sync.config.settings import load_settings
from feature_sync.sending.batches import Batch, PlannedChanges
from feature_sync.storage.warehouse import Warehouse
from tests.sandbox.client import Sandbox
from tests.wire.backfill.payloads import DAY, SeenFromOutside, records_released, rows_of, run_steps
from tests.wire.campaign import Campaign
from tests.wire.planned_runs import REPLICA


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


Told = list[Mapping[str, Any]]


def changes_of(told: Told) -> dict[str, int]:
    """What all batches of these notes change, by product."""
    batches = [each for note in told for each in PlannedChanges.from_note(note).by_batch.values()]
    return {product: sum(each[product] for each in batches) for product in batches[0]}


class TestChanges:
    """What the plan notes for the page: by how many records each batch changes who has a product."""

    @pytest.fixture
    def conf(self, incident_ids: list[str]) -> dict[str, Any]:
        return {"scope": "property_ids", "property_ids": incident_ids[:13], "batch_size": 5}

    def plan(self, conf: dict[str, Any], run_id: str) -> tuple[list[Told], dict[str, Any]]:
        """The notes of each planning task, and the summary of the payload, of which the replica does not know a flag."""
        probes: Told = []
        batches: Told = []
        freeze_payload(conf, run_id)
        release_payload(run_id)
        with Warehouse(load_settings()) as warehouse:
            plan_probes(conf, run_id, probes.append)
            plan_batches(conf, run_id, None, batches.append)
            return [probes, batches], warehouse.fetch_one("backfill/summarize_payload", {"run_id": run_id})

    @pytest.mark.parametrize(
        ("strategy", "numbers"), [("batched", [[], [1, 2, 3]]), ("pilot", [[1], [2, 3]]), ("full", [[], [1]])]
    )
    def test_their_sums_are_what_the_payload_changes(
        self, sandbox: Sandbox, conf: dict[str, Any], strategy: str, numbers: list[list[int]]
    ) -> None:
        ids = ", ".join(f"'{each}'" for each in conf["property_ids"])
        before = sandbox.sql(f"SELECT id, idv_only_enabled_c FROM {REPLICA} WHERE snappt_property_id_c IN ({ids}) ORDER BY id")
        values = [(before[0][0], "NULL"), *((each[0], "TRUE") for each in before[1:4])]
        for record, value in values:
            sandbox.sql(f"UPDATE {REPLICA} SET idv_only_enabled_c = {value} WHERE id = '{record}'")

        told, summary = self.plan(conf | {"strategy": strategy}, f"changes-{strategy}")
        for record, value in before[:4]:
            sandbox.sql(f"UPDATE {REPLICA} SET idv_only_enabled_c = {value} WHERE id = '{record}'")

        products = [each.name for each in load_settings().fields.products]
        assert [[row[0] for note in each for row in note["batches"]] for each in told] == numbers
        assert len(told[0]) == bool(numbers[0]), "a plan without a batch leaves no note"
        assert changes_of([*told[0], *told[1]]) == {each: summary[f"{each}_after"] - summary[f"{each}_now"] for each in products}
        assert summary["idv_only_unknown"] == 1, "a flag that the replica does not know counts as not enabled"
        assert summary["idv_only_now"] == 3

    def test_a_plan_without_a_batch_says_nothing(self, conf: dict[str, Any], sandbox: Sandbox) -> None:  # noqa: ARG002
        told, _ = self.plan(conf | {"dry_run": True}, "changes-dry")

        assert told == [[], []]

    def test_the_arguments_of_a_batch_stay_as_small_as_they_were(
        self,
        conf: dict[str, Any],
        sandbox: Sandbox,  # noqa: ARG002
    ) -> None:
        frozen = run_steps(conf, "changes-small")

        assert {*frozen.batches[0]} == {"number", "first", "last", "records", "label"}


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
            return read_batches(warehouse, run_id)

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
