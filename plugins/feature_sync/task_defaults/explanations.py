"""What Airflow's pages say of our DAGs and their tasks, beside the runbook of each DAG."""

from collections.abc import Mapping
from typing import Any

from feature_sync.backfill.trigger_form import expected_duration
from feature_sync.config.names import (
    ACCEPT_DAG_ID,
    BACKFILL_DAG_ID,
    DEPLOY_DAG_ID,
    RECONCILIATION_DAG_ID,
    VERIFY_DAG_ID,
    WATCH_DAG_ID,
)

OWNER = "feature_sync"
"""Whose tasks they are, in Airflow's list of DAGs."""

DAGS: Mapping[str, tuple[str, str]] = {
    BACKFILL_DAG_ID: (
        "Product feature backfill",
        "Sends the product features of Salesforce records again, from the warehouse. "
        f"{expected_duration()} Starts as a dry run, unless you switch that off.",
    ),
    RECONCILIATION_DAG_ID: (
        "Product feature reconciliation",
        "Says every week whether Salesforce equals the warehouse, and can send what differs again.",
    ),
    DEPLOY_DAG_ID: (
        "Census dataset deploy",
        "Brings the query and the mappings of the regular sync from this repository to Census. Asks before it changes anything.",
    ),
    ACCEPT_DAG_ID: (
        "Feature sync: accept differences",
        "Tells the weekly run that a difference is known, why, and until when. Changes nothing in Salesforce.",
    ),
    VERIFY_DAG_ID: (
        "Feature sync: verify the set-up",
        "Checks settings, tables, Census and Salesforce, and says what to repair first. Writes nothing anywhere.",
    ),
    WATCH_DAG_ID: (
        "Feature sync: watch",
        "Tells people if the weekly run has given no verdict, or a backfill is later than its own estimate. Changes nothing.",
    ),
}
"""By DAG: the name that Airflow shows, and its description."""

WAIT_FOR_TURN = """\
Waits until the batch before it has ended and the pause after it is almost over. Its log says how many batches are ahead and when
its turn is about to come. One batch waits at a time; the batches behind it have not begun. It only waits, so you may mark it.
"""
SEND = """\
Sends one batch through Census and judges what became of every record.

**Red?** The log begins with the reason, and ends with **Next:** and what to do. Clearing it is always safe: it sends only the
records that were not accepted. If it has started a Census run already, it resumes that one.
"""

TASKS: Mapping[str, Mapping[str, str]] = {
    BACKFILL_DAG_ID: {
        "check_preconditions": "Checks the run config, connections, pool, tables, the Census sync and the scope, and reports all "
        "problems at once. Red: nothing was written. Do what its log says, then start a new run.",
        "freeze_payload": "Writes the values to send, and those that Salesforce holds now, to the payload table. Refuses records "
        "that another run may still send.",
        "check_payload": "Shows what would change, product by product, and applies the guards. Red: a guard refused, nothing was "
        "sent. The table in its log is the result of a dry run.",
        "approve_mass_disable": "Asks a person under **Required actions**, if the run turns a product off for more records than "
        "the guard allows. Otherwise skipped.",
        "export_csv": "Writes all records of the run to one CSV.",
        "plan_probes": "Writes a CSV for each batch. Plans the probes of strategy probe, or the first batch of strategy pilot.",
        "confirm_flow_off": "Asks a person whether the rollup Flow is off. Only with strategy full; otherwise skipped.",
        "probe.wait_for_turn": WAIT_FOR_TURN,
        "probe.send": SEND + "\nA probe that is too large for Salesforce is green, and its name says *too large*: that is its "
        "result. The records that were rejected go into smaller batches.",
        "probes_done": "Marks that all probes have ended well. It does nothing itself.",
        "check_pilot": "Reads the first batch back from Salesforce and writes the question about it. Only with strategy pilot.",
        "approve_pilot": "Asks a person whether the other records follow the pilot. Only with strategy pilot; otherwise skipped.",
        "plan_batches": "Lists the batches to send. A dry run ends here, with an empty list.",
        "batch.wait_for_turn": WAIT_FOR_TURN,
        "batch.send": SEND,
        "confirm_flow_on": "Asks a person to switch the rollup Flow on again, whatever became of the batches. Only after "
        "somebody has confirmed that it was off.",
        "wait_for_copy": "Waits until the warehouse's copy of Salesforce, the replica, shows what was sent, unless Salesforce "
        "itself is asked. Its log says what is missing. It only waits, so you may mark it.",
        "validate": "Compares Salesforce with what the run should have written, record by record. Red if one property differs "
        "or a batch is missing. It runs after any outcome: in a run that was refused, look at the first red task instead.",
    },
    RECONCILIATION_DAG_ID: {
        "remove_old_payloads": "Removes the payloads of backfill runs without activity for PAYLOAD_DAYS days.",
        "check_source_query": "Runs the regular sync's query in the warehouse and compares what it yields with the feature "
        "table. Red: the next run of the regular sync would write wrong values, or nobody knows.",
        "wait_for_copy": "Waits until the warehouse's copy of Salesforce, the replica, is fresh. Red: its replication has "
        "stopped.",
        "compare": "Compares every property in all feature fields, and decides whether the records that differ are sent again.",
        "approve_healing": "Asks a person whether the records that differ are sent again. Only with HEALING=ask.",
        "heal": "Starts a backfill of the records that differ and waits for it. Its log names that run.",
        "wait_for_healed_copy": "Waits until the replica shows what the healing has sent.",
        "conclude": "Gives the verdict of the week, after the healing if there was one. Red: Salesforce differs. Its log says "
        "what, how many, and what to do.",
    },
    DEPLOY_DAG_ID: {
        "compare_query": "Compares query and mappings in Census with this repository, and tries the new query in the warehouse. "
        "Changes nothing.",
        "approve": "Asks a person under **Required actions**, with the differences. Skipped if there are none.",
        "deploy_query": "Writes the query to Census and reads it back.",
        "deploy_mappings": "Writes the mappings to Census and reads them back.",
    },
    ACCEPT_DAG_ID: {
        "accept": "Looks up the differences as they are now, and writes one entry for each, with reason and end date. Red: "
        "nothing was written, and its log says which parameter to change.",
    },
    VERIFY_DAG_ID: {
        "verify": "Checks everything that a run relies on. The page is in its log and in its XCom page. Red: something is "
        "wrong; the log lists what, in the order to repair it.",
    },
    WATCH_DAG_ID: {
        "look": "Asks Airflow whether a run is late, and sends one message if it is. Its log says what it saw. Red: it could not "
        "look, so clear it.",
    },
}
"""By DAG and task, in Markdown."""


def shown_as(dag_id: str) -> dict[str, Any]:
    """The arguments of a DAG that say what it is called and what it does."""
    name, description = DAGS[dag_id]
    return {"dag_display_name": name, "description": description}


def explain(dag: Any) -> Any:
    """
    Give each task of a DAG its explanation.

    :returns: the DAG.
    """
    for task_id, text in TASKS[dag.dag_id].items():
        dag.get_task(task_id).doc_md = text
    return dag
