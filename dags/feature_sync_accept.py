"""
### Accept known differences

Tells the weekly run that a difference is known, why, and until when. The weekly run counts it, and is red only for new ones.

#### It failed

Its message says which parameter to change. Nothing was written. Start a new run.

#### When

A person starts it after `product_feature_reconciliation` has shown a difference that cannot be corrected now, such as a
duplicate or an orphan. `mismatches.csv` of that run has the class and the ids.

#### What it does

It looks up the differences of this class and these ids as they are now, and writes one entry for each into the
table of accepted differences, with the reason, the end date and the name of the person who started this run. An id without such
a difference is refused, and then nothing is written.

#### What it covers

One class, one record or property, one product. Another class, another product, or another record of a
duplicate is new. If a key of the record changes, the acceptance does not cover it any more.

#### It also keeps healing away

A record with an accepted difference of its fields is not sent by scope `mismatched`.

#### To end it sooner

Start this DAG again for the same ids with today as the last day. The newest entry counts.
"""

from typing import Any

from airflow.sdk import dag, get_current_context, task

from feature_sync.config.asked import BY_A_PERSON
from feature_sync.config.names import ACCEPT_DAG_ID
from feature_sync.orchestration.dag_runs import asked_params
from feature_sync.reconciliation import accepting
from feature_sync.reconciliation.trigger_form import ACCEPT_PARAMS
from feature_sync.task_defaults.defaults import DAG_DEFAULTS
from feature_sync.task_defaults.explanations import explain, shown_as


@dag(
    ACCEPT_DAG_ID,
    schedule=None,
    catchup=False,
    max_active_runs=1,
    allowed_run_types=BY_A_PERSON,
    params=ACCEPT_PARAMS,
    doc_md=__doc__,
    tags=["salesforce", "census"],
    **DAG_DEFAULTS,
    **shown_as(ACCEPT_DAG_ID),
)
def feature_sync_accept() -> None:
    @task
    def accept(run_id: Any = None) -> dict:
        person = get_current_context()["dag_run"].triggering_user_name
        return accepting.accept(asked_params(), run_id, person)

    accept()


explain(feature_sync_accept())
