"""Addresses that people open: our page of a run, its files, the run in Airflow, and a run in Census."""

from urllib.parse import quote

from feature_sync.config.names import URL_PREFIX


def run_page_url(base_url: str, dag_id: str, run_id: str) -> str:
    """
    Our page of a run.

    :param base_url: Airflow's option ``[api] base_url``. Empty: the address has no host and works on Airflow's own pages.
    """
    return f"{_base(base_url)}{URL_PREFIX}/run?dag_id={_part(dag_id)}&run_id={_part(run_id)}"


def run_file_url(base_url: str, dag_id: str, run_id: str, name: str) -> str:
    """A file that a run has written, such as ``report.html``."""
    return f"{_base(base_url)}{URL_PREFIX}/file?dag_id={_part(dag_id)}&run_id={_part(run_id)}&name={_part(name)}"


def airflow_url(base_url: str, *path: str) -> str:
    """
    A page of Airflow's own.

    :param path: its parts, such as ``dags``, the DAG's id, ``runs`` and the run's id.
    """
    return "/".join([_base(base_url), *(_part(part) for part in path)])


def airflow_run_url(base_url: str, dag_id: str, run_id: str) -> str:
    """A run in Airflow's own pages."""
    return airflow_url(base_url, "dags", dag_id, "runs", run_id)


def census_run_url(pattern: str, sync_id: int, sync_run_id: int | None = None) -> str:
    """
    A run in Census.

    :param pattern: the setting ``CENSUS_RUN_URL``, with ``{sync_id}`` and perhaps ``{sync_run_id}`` in it.
    :returns: an empty text if the pattern is empty, or needs a run and there is none.
    """
    if sync_run_id is None and "{sync_run_id}" in pattern:
        return ""
    return pattern.replace("{sync_id}", str(sync_id)).replace("{sync_run_id}", str(sync_run_id))


def _base(base_url: str) -> str:
    return base_url.rstrip("/")


def _part(text: str) -> str:
    """A text as one part of an address: a run id has colons and plus signs, and a site may allow slashes."""
    return quote(text, safe="")
