"""Sends a message to people, through any channel that Apprise supports, and never fails because of it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from airflow.sdk import conf

from feature_sync.config.addresses import airflow_url, run_page_url
from feature_sync.config.connections import MissingConnectionError, UnreadableConnectionError, read_connection
from feature_sync.config.settings import AlertLevel, load_alert_settings

log = logging.getLogger(__name__)

MAX_CHARACTERS = 1500
MAX_LINES = 12


def is_on() -> bool:
    """Whether messages go anywhere."""
    return bool(load_alert_settings().alert_conn_id)


def deliver(level: AlertLevel, title: str, text: str, *, is_success: bool = False) -> bool:
    """
    Send a message, if alerts are on and ALERT_LEVEL lets its level pass.

    :param is_success: the message is about something that went well. Channels show it in green.
    :returns: whether it was sent. If it should have been and was not, the log has it and says why.
    """
    from airflow.sdk.log import redact  # noqa: PLC0415 - composing a message needs no Airflow

    settings = load_alert_settings()
    if not settings.alert_conn_id:
        return False
    if level.rank < settings.alert_level.rank:
        log.info("Not sent, because ALERT_LEVEL is %s: %s", settings.alert_level, title)
        return False
    # What Airflow masks in logs must not leave it either.
    title, text = str(redact(title)), str(redact(text))
    if problem := _send(settings.alert_conn_id, "success" if is_success else level.value, title, text):
        log.error("The alert could not be sent through connection %s (%s):\n%s\n%s", settings.alert_conn_id, problem, title, text)
        return False
    log.info("Alert sent through connection %s", settings.alert_conn_id)
    return True


def page(*path: str) -> str:
    """
    The address of a page of Airflow's UI.

    :param path: its parts, such as ``dags``, the DAG's id, ``runs`` and the run's id.
    """
    return airflow_url(_base_url(), *path)


def progress_page(dag_id: str, run_id: str) -> str:
    """The address of our page of a run."""
    return run_page_url(_base_url(), dag_id, run_id)


def _base_url() -> str:
    return str(conf.get("api", "base_url", fallback="http://localhost:8080/"))


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


def _send(conn_id: str, kind: str, title: str, text: str) -> str:
    """
    Send a message to every address of a connection.

    :param kind: of Apprise's types: info, success, warning or failure.
    :returns: what went wrong, without any address. Empty if all was sent.
    """
    import apprise  # noqa: PLC0415 - most tasks send nothing
    from airflow.providers.apprise.hooks.apprise import AppriseHook  # noqa: PLC0415

    with _silence():
        try:
            config = AppriseHook(conn_id).get_config_from_conn(read_connection(conn_id))
            channel = apprise.Apprise()
            usable = [channel.add(one["path"]) for one in (config if isinstance(config, list) else [config])]
            # The hook's own notify does not say whether anything was sent.
            sent = channel.notify(text, title, notify_type=apprise.NotifyType(kind), body_format=apprise.NotifyFormat.TEXT)
        except (MissingConnectionError, UnreadableConnectionError) as error:
            return str(error)
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
