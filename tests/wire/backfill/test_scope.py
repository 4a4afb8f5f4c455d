"""Which records of the sandbox a scope covers."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from feature_sync.backfill.payload import CheckedPayload, check_payload, freeze_payload
from feature_sync.config.settings import load_settings
from tests.sandbox.client import Sandbox
from tests.wire.backfill import payloads
from tests.wire.backfill.payloads import FIELDS, INCIDENT, REPLICA, Frozen, rows_of, run_steps


class TestScope:
    @pytest.mark.parametrize(
        ("conf", "records", "unmatched"),
        [
            pytest.param({}, 1_252, 0, id="mismatched"),
            pytest.param({"scope": "all"}, 10_000, 314, id="all"),
            pytest.param(INCIDENT | {"unmatched": "skip"}, 1_256, 0, id="skip-unmatched"),
        ],
    )
    def test_how_many_records_a_scope_has(
        self,
        sandbox: Sandbox,  # noqa: ARG002
        conf: dict[str, Any],
        records: int,
        unmatched: int,
    ) -> None:
        run_id = f"scope-{conf.get('scope')}-{conf.get('unmatched')}"

        frozen, checked = freeze_payload(conf, run_id), check_payload(conf, run_id)

        assert frozen == payloads.frozen(records)
        assert replace(checked, products=[]) == CheckedPayload(records=records, records_unmatched=unmatched, approval=None)

    def test_listed_properties_and_no_other(self, sandbox: Sandbox, incident_ids: list[str]) -> None:  # noqa: ARG002
        ids = incident_ids[3:10]

        frozen = run_steps({"scope": "property_ids", "property_ids": ids[::-1], "batch_size": 3}, "listed")

        assert sorted(row["snappt_property_id_c"] for row in rows_of(frozen.full_csv)) == ids
        assert [batch["last"] - batch["first"] + 1 for batch in frozen.batches] == [3, 3, 1]

    def test_the_days_are_inclusive_and_those_of_utc(self, sandbox: Sandbox, incident: Frozen) -> None:
        [[first, last]] = sandbox.sql(
            "SELECT MIN(created_date), MAX(created_date) FROM crm.salesforce.product_property_c"
            " WHERE snappt_property_id_c IN"
            f" (SELECT snappt_property_id_c FROM {load_settings().payload_table} WHERE run_id = 'incident')"
        )

        assert first == datetime(2025, 11, 21, tzinfo=UTC)
        assert last == datetime(2025, 11, 21, 23, 59, 59, tzinfo=UTC)
        assert incident.checked.records == 1_296

    def test_a_record_deleted_in_salesforce_is_in_no_scope(self, sandbox: Sandbox) -> None:
        freeze_payload({"scope": "all"}, "no-deleted")

        [[found]] = sandbox.sql(
            f"SELECT count(*) FROM {load_settings().payload_table} AS payload INNER JOIN {REPLICA} AS replica"
            " ON replica.id = payload.salesforce_id WHERE payload.run_id = 'no-deleted' AND replica.is_deleted"
        )
        assert found == 0

    @pytest.mark.parametrize(("skip", "count"), [("send_false", 40), ("skip", 0)])
    def test_a_property_without_a_feature_row_goes_out_as_false_or_not_at_all(
        self, sandbox: Sandbox, skip: str, count: int
    ) -> None:
        run_id = f"unmatched-{skip}"

        freeze_payload(INCIDENT | {"unmatched": skip}, run_id)

        flags = " OR ".join(f"NOT ({product.enabled.column} IS FALSE)" for product in FIELDS.products)
        [[unmatched, wrong]] = sandbox.sql(
            f"SELECT count(*), count(CASE WHEN {flags} THEN 1 END) FROM {load_settings().payload_table}"
            f" WHERE run_id = '{run_id}' AND NOT has_feature_row"
        )
        assert (unmatched, wrong) == (count, 0)
