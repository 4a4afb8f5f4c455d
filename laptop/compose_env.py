"""
``make compose-env`` writes the two files that docker-compose.yaml reads. Only their owner can read them.

Existing values stay as they are; only missing ones are added. The command can be repeated. After an upgrade it must be repeated.
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
# `make compose-env` wrote this file for docker-compose.yaml. It is secret. Keep a copy elsewhere: without FERNET_KEY you cannot
# read the connections in the database. Without POSTGRES_PASSWORD you cannot read the database.
"""
DEPLOYMENT_CHOICES = """\

# Choices. Remove the # to make one.
# AIRFLOW_PORT=8080
# AIRFLOW_IMAGE=apache/airflow:3.3.2
# CeleryExecutor needs both lines: the executor, and the profile that starts Redis and the workers.
# EXECUTOR=CeleryExecutor
# COMPOSE_PROFILES=celery

# The two connections as URIs. Percent-encode each part. Every `up` writes them to Airflow's database, encrypted.
# DATABRICKS_CONNECTION=databricks://:<token>@<workspace>.cloud.databricks.com/?http_path=%2Fsql%2F1.0%2Fwarehouses%2F<id>
# CENSUS_CONNECTION=http://:<token>@https%3A%2F%2Fapp.getcensus.com/?api_version=v2
"""
SETTINGS = """\
# The environment of every Airflow container. `make compose-env` wrote this file. It needs no secrets.
# FEATURE_SYNC_<NAME> overrides a line of include/settings.toml. AIRFLOW__<SECTION>__<NAME> sets an option of Airflow, unless
# docker-compose.yaml sets it.
# FEATURE_SYNC_CENSUS_SYNC_ID=4711
# FEATURE_SYNC_OUTPUT_PATH=s3://bucket/sync_payloads
"""


def new_values() -> dict[str, str]:
    """A new secret for each variable that docker-compose.yaml requires."""
    made = Secrets.new()
    return {
        "ADMIN_PASSWORD": made.admin_password,
        # Redis gets its password on a command line. A leading dash would turn it into an option.
        "POSTGRES_PASSWORD": secrets.token_hex(24),
        "REDIS_PASSWORD": secrets.token_hex(24),
        "FERNET_KEY": made.fernet_key,
        "JWT_SECRET": made.jwt_secret,
        "API_SECRET_KEY": made.api_secret,
    }


def completed(text: str, values: Mapping[str, str]) -> str:
    """Return the text of an environment file plus a line for each missing value. A name without a value counts as missing."""
    if not text:
        lines = [f"{name}={value}\n" for name, value in values.items()]
        return DEPLOYMENT_HEADER + "".join(lines) + DEPLOYMENT_CHOICES
    present = set(re.findall(r"^[ \t]*(?:export )?(\w+)[ \t]*=[ \t]*\S", text, flags=re.MULTILINE))
    missing = [f"{name}={value}\n" for name, value in values.items() if name not in present]
    return text + ("" if text.endswith("\n") or not missing else "\n") + "".join(missing)


def write_files(folder: Path) -> list[str]:
    """Write or complete both files. Return a line for each file that describes the change."""
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
    return "completed" if before else "written with new secrets. ADMIN_PASSWORD is the password of Airflow's user admin"


if __name__ == "__main__":
    sys.stdout.write("".join(f"{line}\n" for line in write_files(PROJECT)))
