"""Alerts people about a failure, through any channel that Apprise supports. It is the failure callback of all our tasks."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from feature_sync.backfill.validation import NothingToValidateError
from feature_sync.config.settings import load_alert_settings
from feature_sync.sending.outcome import BatchHaltedError

log = logging.getLogger(__name__)

MAX_CHARACTERS = 1500
MAX_LINES = 12
ALERT_SENT = "alert_sent"
"""The XCom that a failed task leaves when an alert was sent."""


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


def first_lines(text: str) -> str:
    """The first lines of a text, uncut, and how many lines were left out. Only a first line that is too long by itself is cut."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    kept: list[str] = []
    room = MAX_CHARACTERS - len("(lines left out: 1,000,000)\n")
    for line in lines[:MAX_LINES]:
        if len(line) > room:
            if not kept:
                kept.append(f"{line[: room - 4]} ...")
            break
        kept.append(line)
        room -= len(line) + 1
    if left := len(lines) - len(kept):
        kept.append(f"(lines left out: {left:,})")
    return "\n".join(kept)


def notify_failure(context: Mapping[str, Any]) -> None:
    """
    Send an alert about a task that has failed for good. One cause is reported once, not again by the tasks that fail because
    of it.

    An error in here does not reach the task, which has ended already.
    """
    try:
        conn_id = load_alert_settings().alert_conn_id
        if conn_id and not _was_reported(context):
            _alert(conn_id, context)
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
        if conn_id := load_alert_settings().alert_conn_id:
            dag_id = context["dag"].dag_id
            reason = getattr(run, "note", None) or "The run has no verdict. Its note in Airflow says why."
            _tell(conn_id, f"{dag_id}: no verdict", f"DAG: {dag_id}\nRun: {context['run_id']}\n\n{first_lines(reason)}")
    except Exception:
        log.exception("No alert was sent")


def _was_reported(context: Mapping[str, Any]) -> bool:
    match context.get("exception"):
        case BatchHaltedError():
            return True  # by the batches before it; the verdict sums up
        case NothingToValidateError():
            # A task whose process was killed has sent no alert: https://github.com/apache/airflow/issues/60858
            ti = context["ti"]
            states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id]).get(ti.run_id, {})
            failed = [name for name, state in states.items() if state == "failed" and name != ti.task_id]
            return any(ti.xcom_pull(task_ids=name, key=ALERT_SENT) for name in failed)
        case _:
            return False


def _alert(conn_id: str, context: Mapping[str, Any]) -> None:
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
    if _tell(conn_id, title, text) and error:  # otherwise this is not the task's own process and cannot write an XCom
        ti.xcom_push(key=ALERT_SENT, value=True)


def _tell(conn_id: str, title: str, text: str) -> bool:
    """Send an alert, or log it if that fails."""
    from airflow.sdk.log import redact  # noqa: PLC0415 - composing a message needs no Airflow

    text = str(redact(text))  # what Airflow masks in logs must not leave it either
    if problem := _send(conn_id, title, text):
        log.error("The alert could not be sent through connection %s (%s):\n%s\n%s", conn_id, problem, title, text)
        return False
    log.info("Alert sent through connection %s", conn_id)
    return True


def _send(conn_id: str, title: str, text: str) -> str:
    """
    Send an alert to every address of a connection.

    :returns: what went wrong, without any address. Empty if all was sent.
    """
    import apprise  # noqa: PLC0415 - only needed after a failure
    from airflow.providers.apprise.hooks.apprise import AppriseHook  # noqa: PLC0415

    with _silence():
        try:
            hook = AppriseHook(conn_id)
            config = hook.get_config_from_conn(hook.get_connection(conn_id))
            channel = apprise.Apprise()
            usable = [channel.add(one["path"]) for one in (config if isinstance(config, list) else [config])]
            # The hook's own notify does not say whether anything was sent.
            sent = channel.notify(text, title, notify_type=apprise.NotifyType.FAILURE, body_format=apprise.NotifyFormat.TEXT)
        except Exception as error:  # any error of a channel's library; its text may show the address
            return type(error).__name__
    if not all(usable):
        return "Apprise cannot read an address"
    return "" if sent else "an address did not accept it; `apprise -vv` in a shell says why"


@contextmanager
def _silence() -> Iterator[None]:
    """Log nothing meanwhile: Apprise addresses contain tokens, and so do the paths that urllib3 logs."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
