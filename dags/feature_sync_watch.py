"""
### Watch

Tells people what no run can report of itself: that the weekly run has given no verdict, or that a backfill is later than its own
estimate.

#### It failed

It could not look: Airflow's API server did not answer, or a setting is wrong. Its message says which. Repair that and clear
`look`. No other run depends on it.

#### When

By itself, four times a day, for the weekly run. A backfill that has planned its batches starts a run too. That run is *queued*
until the backfill should have sent them, and takes no slot meanwhile. A person may start it at any time, without a config: it
looks at the weekly run.

#### What it does

It asks Airflow, and nothing else. It sends a message through the channel of the alerts. If alerts are off, it tells nobody.

- **The weekly run** should have ended `WEEKLY_VERDICT_HOURS` hours after its scheduled time. If no run since then has ended, the
  message says whether one goes on or none has started, and what to do. People are reminded once a day. A red run has ended: its
  own alert has said why.
- **A backfill** should have sent its batches by the time that it has estimated, and a quarter of the estimate more, but at least
  `CENSUS_RUN_LIMIT_SECONDS`. If it has not, one message says how many batches have ended, and where to look.

#### What it remembers

One Airflow variable, `feature_sync_watch`, has the schedule of the weekly run, since when the watch knows it, and what people
were told. A scheduled time before that is not missed: nobody knows whether the weekly DAG was there. If somebody deletes the
variable, the watch begins again.

#### Stopping

Pause it, or set `WEEKLY_VERDICT_HOURS` to 0. Nobody is told then, and all else goes on.
"""

from airflow.sdk import CronTriggerTimetable, dag

from feature_sync.config.asked import BY_THE_CLOCK
from feature_sync.config.names import WATCH_DAG_ID
from feature_sync.task_defaults.defaults import DAG_DEFAULTS
from feature_sync.task_defaults.explanations import explain, shown_as
from feature_sync.watch.operators import WatchOperator

# A weekly run of 06:00, which may take 12 hours, is judged at 18:15.
SCHEDULE = "15 */6 * * *"
# A run that waits for its time counts too. With as many, Airflow would start none by the clock.
MAX_RUNS = 100


@dag(
    WATCH_DAG_ID,
    schedule=CronTriggerTimetable(SCHEDULE, timezone="UTC"),
    catchup=False,
    max_active_runs=MAX_RUNS,
    allowed_run_types=BY_THE_CLOCK,
    doc_md=__doc__,
    tags=["salesforce", "census"],
    **DAG_DEFAULTS,
    **shown_as(WATCH_DAG_ID),
)
def feature_sync_watch() -> None:
    WatchOperator(task_id="look")


explain(feature_sync_watch())
