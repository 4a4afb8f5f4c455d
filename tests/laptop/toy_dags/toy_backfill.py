"""The shape of `product_feature_backfill` without its work: it writes the files of a run, "sends", and fails when told to."""

import json
import os
from pathlib import Path
from typing import Any

from airflow.sdk import dag, get_current_context, task, task_group

PRODUCT = {"product": "fraud_detection", "label": "Fraud Detection"}


@dag(schedule=None, params={"failing_batch": 0, "mismatched": 0})
def toy_backfill() -> None:
    @task
    def export_csv(params: dict[str, Any] | None = None) -> dict[str, str]:
        folder = Path(os.environ["FEATURE_SYNC_OUTPUT_PATH"])
        folder.mkdir(parents=True, exist_ok=True)
        mismatched = (params or {})["mismatched"]
        preview = {"products": [PRODUCT | {"enabled_now": 0}]}
        after = PRODUCT | {"enabled_in_salesforce": 150 - mismatched, "enabled_in_warehouse": 150, "mismatched": mismatched}
        validation = {
            "properties_checked": 150,
            "properties_mismatched": mismatched,
            "result": f"{mismatched} properties with mismatched feature data",
            "products": [after],
        }
        (folder / "preview.json").write_text(json.dumps(preview))
        (folder / "validation.json").write_text(json.dumps(validation))
        return {"folder": str(folder)}

    @task
    def plan_batches() -> list[dict[str, Any]]:
        return [{"number": n, "label": f"batch {n:03}: records {n * 50 - 49}-{n * 50}"} for n in (1, 2, 3)]

    @task_group
    def batch(batch: dict[str, Any]) -> None:
        @task
        def wait_for_turn() -> None:
            pass

        @task(map_index_template="{{ label }}", pool="census_sync")
        def send(batch: dict[str, Any], params: dict[str, Any] | None = None) -> None:
            get_current_context()["label"] = batch["label"]  # type: ignore[typeddict-unknown-key]
            if batch["number"] == (params or {})["failing_batch"]:
                raise RuntimeError(f"Batch {batch['number']}: Census rejected 12 of 50 records")

        wait_for_turn() >> send(batch)

    @task
    def validate() -> None:
        pass

    plan = plan_batches()
    export_csv() >> plan
    batch.expand(batch=plan) >> validate()


toy_backfill()
