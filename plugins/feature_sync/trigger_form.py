"""The trigger form of ``product_feature_backfill``: what each parameter of the run config is, in the words its user reads."""

from typing import Any

from airflow.sdk import Param

from feature_sync.run_config import (
    DEFAULTS,
    MAX_BATCH_SIZE,
    MAX_CONSECUTIVE_FAILURES,
    MAX_RUN_ID,
    MAX_WAIT_SECONDS,
    OnBatchFailure,
    Scope,
    Strategy,
    Unmatched,
)

DAY: dict[str, Any] = {"type": ["null", "string"], "format": "date"}
BACKFILL_PARAMS = {
    "strategy": Param(
        DEFAULTS["strategy"],
        title="Strategy",
        section="How",
        enum=[*Strategy],
        type="string",
        values_display={
            "batched": "batched: batches of batch_size, one at a time; safe while the rollup Flow is on",
            "full": "full: all records at once; an admin switches the rollup Flow off before and on after",
            "probe": "probe: batch_size, twice that, then the rest at once; smaller again where Salesforce's limits say so",
        },
        description="How the records are sent.",
    ),
    "scope": Param(
        DEFAULTS["scope"],
        title="Scope",
        section="Which records",
        enum=[*Scope],
        type="string",
        values_display={
            "mismatched": "mismatched: records whose feature data differs from the warehouse",
            "created_between": "created_between: records created in Salesforce between two days",
            "property_ids": "property_ids: the properties listed below",
            "all": "all: every record",
        },
        description="Which records of Salesforce are sent again.",
    ),
    "created_from": Param(
        DEFAULTS["created_from"],
        title="Created from",
        section="Which records",
        **DAY,
        description="First day, UTC; for created_between.",
    ),
    "created_to": Param(
        DEFAULTS["created_to"],
        title="Created to",
        section="Which records",
        **DAY,
        description="Last day, UTC, inclusive; for created_between.",
    ),
    "property_ids": Param(
        DEFAULTS["property_ids"],
        title="Property ids",
        section="Which records",
        type=["null", "array"],
        items={"type": "string"},
        description="Ids as in snappt_property_id_c, one a line; for property_ids.",
    ),
    "unmatched": Param(
        DEFAULTS["unmatched"],
        title="Properties without a feature row",
        section="Which records",
        enum=[*Unmatched],
        type="string",
        values_display={"send_false": "send_false: no product, all flags False", "skip": "skip: leave them as they are"},
        description="What becomes of properties that the feature table does not know.",
    ),
    "batch_size": Param(
        DEFAULTS["batch_size"],
        title="Batch size",
        section="How",
        type="integer",
        minimum=1,
        maximum=MAX_BATCH_SIZE,
        description="Records a batch. The rollup Flow was seen to pass 50 and to fail with more.",
    ),
    "wait_seconds": Param(
        DEFAULTS["wait_seconds"],
        title="Wait between batches",
        section="How",
        type="integer",
        minimum=0,
        maximum=MAX_WAIT_SECONDS,
        description="Seconds, at least, from the end of one Census run to the start of the next.",
    ),
    "on_batch_failure": Param(
        DEFAULTS["on_batch_failure"],
        title="When a batch fails",
        section="When something fails",
        enum=[*OnBatchFailure],
        type="string",
        values_display={"continue": "continue with the next batch", "stop": "stop: hold back the batches after it"},
        description="Batches that are held back fail too and say why; clearing the failed tasks sends exactly them.",
    ),
    "max_consecutive_failures": Param(
        DEFAULTS["max_consecutive_failures"],
        title="Failures in a row",
        section="When something fails",
        type="integer",
        minimum=1,
        maximum=MAX_CONSECUTIVE_FAILURES,
        description="So many batches failing one after another hold back the rest, whatever is chosen above.",
    ),
    "dry_run": Param(
        DEFAULTS["dry_run"],
        title="Dry run",
        section="Look first, take back",
        type="boolean",
        description="Do everything up to the plan, and show what would change in Salesforce. Nothing is sent.",
    ),
    "allow_mass_disable": Param(
        DEFAULTS["allow_mass_disable"],
        title="Allow mass disable",
        section="Look first, take back",
        type="boolean",
        description="Let a run go on that turns a product off for more records than the guard allows. A person still has to "
        "approve the numbers of each product before anything is sent.",
    ),
    "undo_run_id": Param(
        DEFAULTS["undo_run_id"],
        title="Undo a run",
        section="Look first, take back",
        type=["null", "string"],
        maxLength=MAX_RUN_ID,
        description="Id of a run of this DAG. The values that stood in Salesforce before it are sent back, for records that "
        "still hold what it sent. Leave the choice of records above as it is.",
    ),
}
