"""
``make compose-env``: writes the two files that docker-compose.yaml reads, each readable by its owner alone.

What they say already stays as it is; only what is missing is added. So it can be repeated, and after an upgrade it must be.
"""

import re
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from laptop.environment import Secrets, write_private

PROJECT = Path(__file__).resolve().parents[1]
DEPLOYMENT_FILE = ".env"
SETTINGS_FILE = ".env.airflow"

DEPLOYMENT_HEADER = """\
# What docker-compose.yaml reads, made by `make compose-env`. Secret. Keep a copy elsewhere: without FERNET_KEY the connections in
# the database cannot be read, and without POSTGRES_PASSWORD the database cannot.
"""
DEPLOYMENT_CHOICES = """\

# Choices; without the # they hold.
# AIRFLOW_PORT=8080
# AIRFLOW_IMAGE=apache/airflow:3.3.2
# CeleryExecutor needs both: the executor, and the profile that brings Redis and workers.
# EXECUTOR=CeleryExecutor
# COMPOSE_PROFILES=celery

# The two connections as URIs, everything in them percent-encoded. Every `up` writes them to Airflow's database, encrypted.
# DATABRICKS_CONNECTION=databricks://:<token>@<workspace>.cloud.databricks.com/?http_path=%2Fsql%2F1.0%2Fwarehouses%2F<id>
# CENSUS_CONNECTION=http://:<token>@https%3A%2F%2Fapp.getcensus.com/?api_version=v2
"""
SETTINGS = """\
# The environment of every Airflow container, made by `make compose-env`; nothing in it has to be secret.
# FEATURE_SYNC_<NAME> overrides include/settings.toml; AIRFLOW__<SECTION>__<NAME> sets what docker-compose.yaml does not.
# FEATURE_SYNC_CENSUS_SYNC_ID=4711
# FEATURE_SYNC_OUTPUT_PATH=s3://bucket/sync_payloads
"""


def new_values() -> dict[str, str]:
    """A secret for each name that docker-compose.yaml demands."""
    made = Secrets.new()
    return {
        "ADMIN_PASSWORD": made.admin_password,
        # Redis gets its own on a command line, where a leading dash would begin an option.
        "POSTGRES_PASSWORD": secrets.token_hex(24),
        "REDIS_PASSWORD": secrets.token_hex(24),
        "FERNET_KEY": made.fernet_key,
        "JWT_SECRET": made.jwt_secret,
        "API_SECRET_KEY": made.api_secret,
    }


def completed(text: str, values: Mapping[str, str]) -> str:
    """The text of an environment file, with a line for each value it lacks; one that is there without a value lacks it too."""
    if not text:
        lines = [f"{name}={value}\n" for name, value in values.items()]
        return DEPLOYMENT_HEADER + "".join(lines) + DEPLOYMENT_CHOICES
    present = set(re.findall(r"^[ \t]*(?:export )?(\w+)[ \t]*=[ \t]*\S", text, flags=re.MULTILINE))
    missing = [f"{name}={value}\n" for name, value in values.items() if name not in present]
    return text + ("" if text.endswith("\n") or not missing else "\n") + "".join(missing)


def write_files(folder: Path) -> list[str]:
    """Write or complete both files. Gives what was done, a line a file."""
    deployment, settings = folder / DEPLOYMENT_FILE, folder / SETTINGS_FILE
    before = deployment.read_text() if deployment.exists() else ""
    after = completed(before, new_values())
    if after != before:
        write_private(deployment, after)
    told = [f"{DEPLOYMENT_FILE} {_what_was_done(before, after)}"]
    if settings.exists():
        told.append(f"{SETTINGS_FILE} stays as it is")
    else:
        write_private(settings, SETTINGS)
        told.append(f"{SETTINGS_FILE} written")
    return told


def _what_was_done(before: str, after: str) -> str:
    if after == before:
        return "stays as it is"
    return "completed" if before else "written, with new secrets; the password of Airflow's user admin is ADMIN_PASSWORD"


if __name__ == "__main__":
    sys.stdout.write("".join(f"{line}\n" for line in write_files(PROJECT)))
