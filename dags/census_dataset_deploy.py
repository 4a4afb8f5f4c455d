"""
### Deploy the source query to Census

Brings the corrected query of the regular sync from this repository to Census, so that the mistake of the incident is gone at
its source: the query that feeds that sync lacked the join of the product features.

**When.** Started by a person, after the weekly run has said that the query in Census is another one, or after the field table,
a table's name or the query in `include/sql` was changed. Which query it is says the setting `SOURCE_QUERY`.

**What it does.** Compares the dataset's SQL with the repository's, as parsed SQL, and the sync's mappings with the field table.
Shows what is different and asks under "Required actions". Then patches the dataset, reads it back, and does the same with the
mappings, which Census takes only whole.

**Nothing to do?** Then nobody is asked, and the tasks after the comparison are skipped.

**It failed.** Nothing was changed if `compare_query` or `approve` is red. After that, clear the red task: it looks at what is
there first. If somebody changed the query in Census in the meantime, it says so; start a new run then.

**Take it back.** Census keeps the former versions of a query and restores them (dataset, version history). The weekly run will
say then that it is another one.
"""

from typing import Any

from airflow.sdk import chain, dag, task

from feature_sync import dataset_deploy
from feature_sync.approvals import RunApprovalOperator
from feature_sync.task_defaults import TASK_DEFAULTS


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["salesforce", "census"],
    default_args=TASK_DEFAULTS,
)
def census_dataset_deploy() -> None:
    @task
    def compare_query() -> dict:
        return dataset_deploy.plan_deployment()

    @task
    def deploy_query(plan: dict) -> dict:
        return dataset_deploy.deploy_query(plan["approved"])

    @task
    def deploy_mappings(plan: dict) -> dict:
        return dataset_deploy.deploy_mappings(plan["approved"])

    plan: Any = compare_query()
    approve = RunApprovalOperator(
        task_id="approve",
        subject="Change what Census sends to Salesforce?",
        question=plan["question"],
        not_needed="Nobody is asked: the query and the mappings in Census are those of this repository.",
    )
    chain(plan, approve, deploy_query(plan), deploy_mappings(plan))


census_dataset_deploy()
