"""Alerts people about a failure, through any channel that Apprise supports.

It has the failure callbacks of all our tasks and of our DAGs. A task reports what it fails with. A DAG reports what no task can:
that the run took too long, that no task of it can start any more, that Airflow or the machine ended a task without a word.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from feature_sync.backfill.validation import NothingToValidateError, SalesforceDiffersError
from feature_sync.config.settings import AlertLevel
from feature_sync.config.wording import count_of
from feature_sync.orchestration import channel
from feature_sync.orchestration.channel import first_lines
from feature_sync.orchestration.dag_runs import failed_tasks, has_xcom
from feature_sync.pilot.rest import PilotError
from feature_sync.sending.outcome import BatchHaltedError
from feature_sync.task_defaults.alerted import AlertedCauses
from feature_sync.task_defaults.causes import AIRFLOW_FAILED_IT, causes_of

log = logging.getLogger(__name__)

ALERT_SENT = "alert_sent"
"""The XCom that a failed task leaves when people know of its cause: it has sent an alert, or another task has."""
GRACE_SECONDS = 15.0
"""How long the DAG's callback waits for those of its tasks. They run after Airflow knows that their tasks have failed."""
MAX_NAMES = 10
"""Tasks that one alert names."""


@dataclass(frozen=True, slots=True)
class Failure:
    """
    A task that will not be tried again.

    ``label``: the name of a mapped task, such as "batch 007: records 301-350", if it is known.
    ``error``: empty if Airflow itself failed the task, because its process died or sent no heartbeat.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    label: str
    try_number: int
    error: str
    log_url: str

    @property
    def task(self) -> str:
        """The task's name in Airflow's UI."""
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"


def compose(failure: Failure) -> tuple[str, str]:
    """The title and the text of an alert."""
    title = f"{failure.dag_id}: {failure.label or failure.task} failed"
    named = f"{failure.task} ({failure.label})" if failure.label else failure.task
    reason = first_lines(failure.error) or (
        "Airflow failed the task because its process was killed, or sent no heartbeat for too long. The end of its log may "
        "say more."
    )
    head = f"DAG: {failure.dag_id}\nRun: {failure.run_id}\nTask: {named}, try {failure.try_number}"
    return title, f"{head}\n\n{reason}\n\nLog: {failure.log_url}"


def notify_failure(context: Mapping[str, Any]) -> None:
    """
    Send an alert about a task that has failed for good. One cause is reported once in a run, whichever task meets it first.

    An error in here does not reach the task, which has ended already.
    """
    try:
        if channel.is_on():
            _report_task(context)
    except Exception:
        log.exception("No alert was sent")


def notify_withheld(context: Mapping[str, Any]) -> None:
    """
    Send an alert about a run of which each task is green or skipped, and which was failed because it has no verdict.

    It is a callback of the DAG. An error in here does not reach the run, which has ended already.
    """
    try:
        run = context.get("dag_run")  # Airflow leaves it out if no task of the run has succeeded, which no good run has
        if run is not None and run.state != "failed":
            return
        if channel.is_on():
            dag_id = context["dag"].dag_id
            reason = getattr(run, "note", None) or "The run has no verdict. Its note in Airflow says why."
            text = f"DAG: {dag_id}\nRun: {context['run_id']}\n\n{first_lines(reason)}"
            channel.deliver(AlertLevel.FAILURE, f"{dag_id}: no verdict", text)
    except Exception:
        log.exception("No alert was sent")


def notify_run_failure(context: Mapping[str, Any]) -> None:
    """
    Send an alert about a run that has failed, if none of its tasks could. It is the failure callback of all our DAGs.

    It runs in the DAG processor.
    """
    alerted = _alerted(context)
    try:
        if channel.is_on() and (reason := _why_the_run_failed(context)):
            _report_run(context, alerted, reason)
    except Exception:
        log.exception("No alert was sent")
    finally:
        forget_alerts(context)


def forget_alerts(context: Mapping[str, Any]) -> None:
    """Remove what was kept of a run's alerts. It is the success callback of all our DAGs."""
    try:
        if channel.is_on():
            _alerted(context).forget()
    except Exception as error:
        log.warning("What was kept of the run's alerts could not be removed (%s)", type(error).__name__)


def _alerted(context: Mapping[str, Any]) -> AlertedCauses:
    ti, run = context.get("ti"), context.get("dag_run")
    dag_id, run_id = (ti.dag_id, ti.run_id) if ti else (context["dag"].dag_id, context["run_id"])
    return AlertedCauses(dag_id, run_id, getattr(run, "clear_number", None) or 0)


def _report_task(context: Mapping[str, Any]) -> None:
    error = context.get("exception")
    if isinstance(error, BatchHaltedError):
        return  # the batches before it have said why, and the verdict sums up
    alerted = _alerted(context)
    if _says_nothing_new(error) and (alerted.is_any_sent() or _has_sent_another(context["ti"])):
        log.info("No alert: what the failed tasks before this one have reported explains it")
        _leave_mark(context)
        return
    if not alerted.claim(causes_of(error)):
        log.info("No alert: another task of this run has reported the cause")
        _leave_mark(context)
        return
    is_sent = _alert(context)
    if is_sent:
        _leave_mark(context)
    alerted.settle(sent=is_sent)


def _says_nothing_new(error: BaseException | None) -> bool:
    """Whether a failure only repeats that others have failed."""
    if isinstance(error, SalesforceDiffersError | PilotError):
        return error.is_explained
    return isinstance(error, NothingToValidateError)


def _has_sent_another(ti: Any) -> bool:
    """A task whose process was killed has sent no alert: https://github.com/apache/airflow/issues/60858."""
    states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id]).get(ti.run_id, {})
    failed = [name for name, state in states.items() if state == "failed" and name != ti.task_id]
    return any(ti.xcom_pull(task_ids=name, key=ALERT_SENT) for name in failed)


def _leave_mark(context: Mapping[str, Any]) -> None:
    if context.get("exception"):  # otherwise this is not the task's own process and cannot write an XCom
        context["ti"].xcom_push(key=ALERT_SENT, value=True)


def _alert(context: Mapping[str, Any]) -> bool:
    ti = context["ti"]
    error = context.get("exception")
    title, text = compose(
        Failure(
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            task_id=ti.task_id,
            map_index=-1 if ti.map_index is None else ti.map_index,
            label=getattr(ti, "rendered_map_index", None) or "",
            try_number=ti.try_number,
            error=f"{type(error).__name__}: {error}" if error else "",
            log_url=ti.log_url,
        )
    )
    return channel.deliver(AlertLevel.FAILURE, title, text)


def _why_the_run_failed(context: Mapping[str, Any]) -> str:
    """What no task of a failed run has reported. Empty if there is nothing."""
    ti = context.get("ti")
    task = f" It was at task `{ti.task_id}`." if ti else ""
    match context.get("reason"):
        case "timed_out":
            limit = getattr(context["dag"], "dagrun_timeout", None)
            return (
                f"The run took longer than its DAG allows{f' ({limit})' if limit else ''}, so Airflow ended it.{task} The tasks "
                "that had not ended are skipped in Airflow. Look at what they waited for, then clear them."
            )
        case "task_failure":
            try:
                silent = _silent_tasks(context)
            except Exception as error:  # whatever Airflow's client raises
                return f"Airflow does not say which of its tasks failed ({type(error).__name__}). Look at the run."
            if not silent:
                return ""
            names = ", ".join(silent[:MAX_NAMES]) + (" ..." if len(silent) > MAX_NAMES else "")
            return (
                f"{count_of(len(silent), 'task')} failed without a report: {names}. Most likely Airflow or the machine ended the "
                "process. The end of its log may say more. Then clear it with its downstream tasks."
            )
        case reason:
            return (
                f"Airflow says: {reason}.{task} No task of the run can start any more. Look at the run, then clear what is red."
            )


def _silent_tasks(context: Mapping[str, Any]) -> list[str]:
    """The failed tasks that have not reported anything, and no task that failed after them has."""
    dag, run_id = context["dag"], context["run_id"]
    give_up_at = time.monotonic() + GRACE_SECONDS
    while True:
        failed = failed_tasks(dag.dag_id, run_id, dag.task_ids)
        heard: set[str] = set()
        for task_id, map_index in failed:  # of a thousand instances, the first that has reported says enough
            if task_id not in heard and has_xcom(dag.dag_id, run_id, task_id, ALERT_SENT, map_index):
                heard.add(task_id)
        silent = [
            task_id if map_index < 0 else f"{task_id}[{map_index}]"
            for task_id, map_index in failed
            if not heard & {task_id, *dag.get_task(task_id).get_flat_relative_ids(upstream=False)}
        ]
        if not silent or time.monotonic() > give_up_at:
            return silent
        time.sleep(1)


def _report_run(context: Mapping[str, Any], alerted: AlertedCauses, reason: str) -> None:
    dag, run_id = context["dag"], context["run_id"]
    is_of_tasks = context.get("reason") == "task_failure"
    if not alerted.claim({AIRFLOW_FAILED_IT if is_of_tasks else f"the run: {context.get('reason')}"}):
        return  # Airflow has run the callback of such a task already
    text = f"DAG: {dag.dag_id}\nRun: {run_id}\n\n{reason}\n\nRun: {channel.page('dags', dag.dag_id, 'runs', run_id)}"
    alerted.settle(sent=channel.deliver(AlertLevel.FAILURE, f"{dag.dag_id}: the run failed", text))
