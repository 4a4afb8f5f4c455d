"""
Airflow's command line with the tasks' libraries in memory: ``python -m laptop.preloaded scheduler``.

The processes that run tasks and read DAG files are forks of the scheduler and the DAG processor. So none of them loads a library
again, which is half the cost of a short task. Our own package is not preloaded: its next version must reach the next task.
"""

import importlib
import sys

from airflow.__main__ import main  # first, because Airflow must be configured before any other part of it is loaded

LIBRARIES = (
    "croniter",
    "databricks.sql.client",  # with pandas and pyarrow
    "pyarrow.compute",
    "pyarrow.csv",
    "pydantic_settings",
    "simple_salesforce",
    "sqlglot",
    "xlsxwriter",
    "airflow.providers.databricks.hooks.databricks_sql",
    "airflow.providers.http.hooks.http",
    "airflow.providers.salesforce.hooks.salesforce",
    "airflow.providers.standard.decorators.python",
    "airflow.providers.standard.operators.empty",
    "airflow.providers.standard.operators.hitl",
)


def load() -> None:
    for library in LIBRARIES:
        importlib.import_module(library)


if __name__ == "__main__":
    if sys.platform == "linux":  # macOS does not support forks of a process that has loaded such libraries
        load()
    main()
