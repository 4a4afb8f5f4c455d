"""
### Verify the set-up

Says on one page whether this package is ready for its first run here: what is right, what is not, and what to do, in the order to
do it. It writes nothing anywhere.

#### It failed

Something is wrong. Its message lists what, in the order to repair it. Repair the first, and clear `verify`: what
comes later may have the same cause. What could not be checked does not fail it; the page says why.

#### When

A person starts it on the first day, after a change to settings, connections or rights, and whenever something is odd.

#### What it checks

The settings, the pool and two options of Airflow. In the warehouse: the connection, what was granted to us,
the tables with their columns and ages, statuses, repeated ids, twins, keys, and our own tables. In Census: the sync of the
batches, the other syncs of the same object, what the regular sync would write, value by value, and the version of the API. In
Salesforce, if there is a connection: the fields, the API calls that are left, the Flow. Around them: the output path, alerts, the
clocks.

#### Where the page is

In the log of `verify`, and as Markdown in its XCom `page`.

#### What it writes

Nothing: the warehouse only gets statements that read, Census and Salesforce only GET requests and the login,
and there is no file. So it cannot try out whether it may write. It asks for grants and permissions instead.

#### It is green

Then nothing that was checked is wrong. Read the list of what was not checked, and start
`product_feature_backfill` with **Dry run**.
"""

from airflow.sdk import conf, dag, get_current_context, task

from feature_sync.config.asked import ON_REQUEST
from feature_sync.config.names import VERIFY_DAG_ID
from feature_sync.orchestration.dag_runs import refuse_config
from feature_sync.task_defaults.defaults import DAG_DEFAULTS
from feature_sync.task_defaults.explanations import explain, shown_as
from feature_sync.verify import verification


@dag(
    VERIFY_DAG_ID,
    schedule=None,
    catchup=False,
    max_active_runs=1,
    allowed_run_types=ON_REQUEST,
    doc_md=__doc__,
    tags=["salesforce", "census"],
    **DAG_DEFAULTS,
    **shown_as(VERIFY_DAG_ID),
)
def feature_sync_verify() -> None:
    @task
    def verify() -> str:
        refuse_config()
        overrides_params = conf.getboolean("core", "dag_run_conf_overrides_params")
        found = verification.verify(conf.getint("core", "max_map_length"), overrides_params=overrides_params)
        get_current_context()["ti"].xcom_push(key="page", value=found.page)
        found.refuse()
        return found.headline

    verify()


explain(feature_sync_verify())
