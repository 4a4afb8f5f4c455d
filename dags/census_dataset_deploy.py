"""
### Deploy the source query to Census

Brings the corrected query of the regular sync from this repository to Census. The query that fed that sync lacked the join of the
product features; that was the cause of the incident.

#### It failed

If `compare_query` or `approve` failed, nothing was changed. Otherwise clear the red task: it first looks at
what is there. If somebody changed the query in Census in the meantime, it says so; then start a new run. If the run is red, but
no task is, somebody marked a task, or cleared only a part of the run. The note of the run names the tasks to clear.

#### When

A person starts it after the weekly run has reported that the regular sync would write wrong values, or after a change
to the field table, a table's name or the query in `include/sql/deployment`. The setting `SOURCE_QUERY` selects the query.

#### What it does

It compares the dataset's SQL with the repository's, as parsed SQL, and the sync's mappings with the field
table. It tries the new query in the warehouse, shows the differences and what the new query yields, and asks under "Required
actions". Then it patches the dataset, reads it back, and does the same with the mappings. If the sync maps more columns than the
repository's query has, the query that Census has stays a part of the new one and yields them.

#### Nothing to do?

Then nobody is asked, and the tasks after the comparison are skipped.

#### Undo

Census keeps the former versions of a query and can restore them (dataset, version history). The weekly run will then
report a different query.
"""

from typing import Any

from airflow.sdk import chain, dag, task

from feature_sync.config.asked import ON_REQUEST
from feature_sync.config.names import DEPLOY_DAG_ID
from feature_sync.deployment import deploy
from feature_sync.deployment.deploy import Deployment
from feature_sync.orchestration.approvals import RunApprovalOperator
from feature_sync.orchestration.dag_runs import refuse_config
from feature_sync.task_defaults.defaults import DAG_DEFAULTS
from feature_sync.task_defaults.explanations import explain, shown_as


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=1,
    allowed_run_types=ON_REQUEST,
    doc_md=__doc__,
    tags=["salesforce", "census"],
    **DAG_DEFAULTS,
    **shown_as(DEPLOY_DAG_ID),
)
def census_dataset_deploy() -> None:
    @task
    def compare_query() -> dict:
        refuse_config()
        return deploy.plan_deployment().as_xcom()

    @task
    def deploy_query(plan: dict) -> dict:
        return deploy.deploy_query(Deployment.from_xcom(plan))

    @task
    def deploy_mappings(plan: dict) -> dict:
        return deploy.deploy_mappings(Deployment.from_xcom(plan))

    plan: Any = compare_query()
    approve = RunApprovalOperator(
        task_id="approve",
        subject="Change what Census sends to Salesforce?",
        question=plan["question"],
        not_needed="Nobody is asked: the query and the mappings in Census are those of this repository.",
    )
    chain(plan, approve, deploy_query(plan), deploy_mappings(plan))


explain(census_dataset_deploy())
