"""
Why does this property show X? Prints what happened to one record, from our own tables.

``python -m feature_sync.story "Elm Court"`` takes a Salesforce id, a key, a property's id, or a part of its name. It needs the
connection to the warehouse, and nothing else: from the environment, from a secrets backend, or from Airflow's database.
"""

import argparse
import os
import sys
import warnings

from feature_sync.config.fields import FieldTableError
from feature_sync.config.problems import ProblemsError
from feature_sync.config.settings import BadSettingsError
from feature_sync.storage.warehouse import StatementError
from feature_sync.story.records import UnknownRecordError, tell_story


def main(arguments: list[str]) -> int:
    """Print the story and return the exit code: 1 if there is none to tell."""
    parser = argparse.ArgumentParser(prog="python -m feature_sync.story", description="What happened to one record, and why.")
    parser.add_argument("record", help="a Salesforce id, a key, a property's id, or a part of the property's name")
    chosen = parser.parse_args(arguments)
    try:
        print(tell_story(chosen.record))  # noqa: T201 - the answer of a command
    except (UnknownRecordError, StatementError, ProblemsError, BadSettingsError, FieldTableError) as problem:
        print(problem, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    # Outside a task Airflow 3.3.2 looks for connections in its database only if a process says that it is a server
    # (airflow.sdk.execution_time.supervisor, ensure_secrets_backend_loaded).
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    warnings.simplefilter("ignore")  # Airflow's provider warns of its own imports, which is no part of the answer
    sys.exit(main(sys.argv[1:]))
