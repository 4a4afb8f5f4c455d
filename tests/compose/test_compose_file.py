"""What docker-compose.yaml and the Dockerfile promise, as far as it can be read; ``make test-compose`` runs them."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from configparser import RawConfigParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from airflow.configuration import retrieve_configuration_description

from feature_sync.config.names import CENSUS_CONN_ID, CENSUS_POOL, DATABRICKS_CONN_ID
from feature_sync.config.settings import Settings
from laptop.compose_env import DEPLOYMENT_FILE, SETTINGS, SETTINGS_FILE, completed, new_values
from tests.compose.real_run import PLAN, Container, trigger_command

PROJECT = Path(__file__).resolve().parents[2]
TEXT = (PROJECT / "docker-compose.yaml").read_text(encoding="utf-8")
DOCKERFILE = (PROJECT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONCE = {"init", "sandbox-connections"}
OURS = sorted(name for name, service in SERVICES.items() if service["image"].startswith("${IMAGE"))
BUILT = {name: service["build"] for name, service in SERVICES.items() if "build" in service}
AIRFLOW = sorted(set(OURS) - {"sandbox"})

SCHEMAS = {
    "compose specification": json.loads((files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json").read_text()),
    # From docker-compose 1.29.2 (compose/config/compose_spec.json), Apache License 2.0, (c) Docker Inc.
    "docker-compose 1.29": json.loads((Path(__file__).parent / "compose_spec_1.29.json").read_text()),
}


def validate(schema: dict[str, Any], compose: dict[str, Any]) -> None:
    jsonschema.validators.validator_for(schema, default=jsonschema.Draft7Validator)(schema).validate(compose)


def environment(service: str) -> dict[str, str]:
    return SERVICES[service].get("environment", {})


def pins(file: str) -> dict[str, set[str]]:
    """Name to versions; there are several where Python or platform decides."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==([^\s;]+)", (PROJECT / file).read_text(), flags=re.MULTILINE):
        found.setdefault(name, set()).add(version)
    return found


def texts(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every value of the file as text, with the names that lead to it."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from texts(value, (*path, name))
    elif isinstance(node, list):
        for value in node:
            yield from texts(value, path)
    else:
        yield path, str(node)


def secrets_in(compose: Any) -> list[str]:
    """Where a value looks like a secret: a password that is none of .env's, a login in an address, a word nobody would write."""
    found = []
    for path, text in texts(compose):
        told = f"{'.'.join(path)}: {text}"
        bare = re.sub(r"\$\{(\w+):\?[^}]*\}", "", text)
        name = path[-1] if path else ""
        if re.search(r"PASSWORD|SECRET|TOKEN|AUTH$|FERNET|_KEY$|CONNECTION", name) and bare and bare != f"${{{name}:-}}":
            found.append(told)
        if re.search(r"://[^/\s]*:[^@/\s]+@", bare) or any(_is_random(word) for word in re.findall(r"[\w+/=-]{16,}", bare)):
            found.append(told)
    return found


def _is_random(word: str) -> bool:
    shares = [number / len(word) for number in Counter(word).values()]
    mixed = re.search(r"\d", word) and re.search(r"[a-z]", word) and re.search(r"[A-Z]", word)
    return bool(mixed) and -sum(share * math.log2(share) for share in shares) > 3.5


@pytest.mark.parametrize("schema", SCHEMAS)
def test_the_file_is_one_for_both_composes(schema: str) -> None:
    validate(SCHEMAS[schema], COMPOSE)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_the_schemas_refuse_what_is_none_of_theirs(schema: str) -> None:
    broken = COMPOSE | {"services": SERVICES | {"scheduler": SERVICES["scheduler"] | {"restarts": "always"}}}

    with pytest.raises(jsonschema.ValidationError, match="restarts"):
        validate(SCHEMAS[schema], broken)


def test_every_airflow_variable_is_one_of_this_airflow() -> None:
    names = {name for service in SERVICES for name in environment(service) if name.startswith("AIRFLOW")}
    known = retrieve_configuration_description(include_providers=True)
    # Airflow's own list of the options of providers that are in the image, but not here.
    absent = RawConfigParser()
    absent.read_string((files("airflow.config_templates") / "provider_config_fallback_defaults.cfg").read_text())

    assert len(names) > 10
    for name in names:
        parts = name.split("__")
        assert len(parts) == 3, name
        section, option = parts[1].lower(), parts[2].lower()
        assert option in known.get(section, {}).get("options", {}) or absent.has_option(section, option), name


def test_the_image_has_the_pins_of_requirements_txt() -> None:
    image, ours = pins("requirements-compose.txt"), pins("requirements.txt")

    assert len(ours) > 100
    assert {name: image.get(name) for name in ours} == ours
    assert {"apache-airflow-providers-celery", "apache-airflow-providers-fab", "apache-airflow-providers-postgres"} <= set(image)


def test_the_base_image_is_the_airflow_of_requirements_txt() -> None:
    (version,) = pins("requirements.txt")["apache-airflow"]
    image = f"apache/airflow:{version}"

    assert f"ARG AIRFLOW_IMAGE={image}\n" in DOCKERFILE
    assert {build["args"]["AIRFLOW_IMAGE"] for build in BUILT.values()} == {f"${{AIRFLOW_IMAGE:-{image}}}"}
    assert f"AIRFLOW_IMAGE={image}\n" in completed("", new_values())


def test_what_the_sandbox_needs_is_pinned() -> None:
    added = re.search(r"--constraint /requirements-dev.txt (.*)$", DOCKERFILE, flags=re.MULTILINE)

    assert added
    assert set(added[1].split()) <= set(pins("requirements-dev.txt"))
    image = pins("requirements-compose.txt")
    different = {name for name, versions in pins("requirements-dev.txt").items() if name in image and versions != image[name]}
    assert different == set(), "the sandbox's packages would change Airflow's"


def test_nothing_in_the_file_is_a_secret() -> None:
    assert secrets_in(COMPOSE) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POSTGRES_PASSWORD", "airflow"),
        ("POSTGRES_PASSWORD", "${POSTGRES_PASSWORD:-airflow}"),
        ("AIRFLOW__CORE__FERNET_KEY", ""),
        ("AIRFLOW__CORE__FERNET_KEY", "Zm9vYmFyYmF6cXV4cXV1eGNvcmdlZ3JhdWx0Z2FycA="),
        ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql+psycopg2://airflow:airflow@postgres/airflow"),
        ("HARMLESS", "dapiA8f3Kx0Qz7Lm2Vw9Rt5"),
    ],
)
def test_a_secret_in_the_file_is_found(name: str, value: str) -> None:
    found = secrets_in({"services": {"one": {"environment": {name: value}}}})

    # An empty password is no secret, but the containers would each make up their own.
    assert (found != []) is (value != "")


def test_every_secret_is_demanded_and_made() -> None:
    demanded = set(re.findall(r"\$\{(\w+):\?run make compose-env\}", TEXT))

    assert demanded == set(new_values())
    assert set(re.findall(r"\$\{(\w+):\?", TEXT)) == demanded


def test_every_choice_is_explained_in_the_generated_file() -> None:
    choices = set(re.findall(r"\$\{(\w+):-", TEXT))

    assert choices - {"IMAGE"} == set(re.findall(r"^# (\w+)=", completed("", {}), flags=re.MULTILINE)) - {"COMPOSE_PROFILES"}
    named = set(re.findall(r"^# FEATURE_SYNC_(\w+)=", SETTINGS, flags=re.MULTILINE))
    assert named
    assert {name.lower() for name in named} <= set(Settings.model_fields)


def test_the_generated_files_stay_out_of_git_and_out_of_the_image() -> None:
    ignored = (PROJECT / ".gitignore").read_text().splitlines()
    built = (PROJECT / ".dockerignore").read_text().splitlines()

    assert {DEPLOYMENT_FILE, SETTINGS_FILE} <= set(ignored)
    assert [line for line in built if line and not line.startswith(("#", "!"))] == ["*", "**/__pycache__"]
    copied = set(re.findall(r"^COPY (\S+) ", DOCKERFILE, flags=re.MULTILINE))
    assert {line.removeprefix("!") for line in built if line.startswith("!")} == copied


@pytest.mark.parametrize("service", AIRFLOW)
def test_all_parts_of_airflow_share_environment_logs_and_output(service: str) -> None:
    own = {"ADMIN_PASSWORD", "DATABRICKS_CONNECTION", "CENSUS_CONNECTION"} if service == "init" else set()

    assert {name: value for name, value in environment(service).items() if name not in own} == environment("scheduler")
    assert SERVICES[service]["env_file"] == SETTINGS_FILE
    assert SERVICES[service]["volumes"] == ["logs:/opt/airflow/logs", "output:/opt/airflow/output"]


def test_each_image_is_built_by_one_service_and_never_pulled() -> None:
    assert {name: build["target"] for name, build in BUILT.items()} == {"init": "airflow", "sandbox": "sandbox"}
    assert {SERVICES[name]["image"] for name in OURS} == {SERVICES[name]["image"] for name in BUILT}
    for name in set(OURS) - set(BUILT):
        assert SERVICES[name]["pull_policy"] == "never"
        assert set(SERVICES[name]["depends_on"]) & set(BUILT), f"{name} would be made before its image"


def test_data_lives_in_named_volumes_alone() -> None:
    mounted = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}

    assert mounted == set(COMPOSE["volumes"]) == {"database", "logs", "output", "sandbox"}


@pytest.mark.parametrize("service", sorted(set(SERVICES) - ONCE))
def test_every_part_that_stays_has_a_health_check_and_is_started_again(service: str) -> None:
    assert SERVICES[service]["restart"] == "unless-stopped"
    assert SERVICES[service]["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")


@pytest.mark.parametrize("service", sorted(ONCE))
def test_what_runs_once_is_not_started_again(service: str) -> None:
    assert SERVICES[service]["restart"] == "no"


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_a_part_waits_until_what_it_needs_is_ready(service: str) -> None:
    needed = SERVICES[service].get("depends_on", {})
    conditions = {name: one["condition"] for name, one in needed.items()}

    for name, condition in conditions.items():
        assert condition == ("service_completed_successfully" if name in ONCE else "service_healthy")
        profiles = SERVICES[name].get("profiles", [])
        assert set(profiles) <= set(SERVICES[service].get("profiles", [])), f"{name} is not started whenever {service} is"
    if service in set(AIRFLOW) - {"init"}:
        assert {"postgres", "init"} <= set(conditions)
    if service in ("scheduler", "worker"):
        assert "api-server" in conditions, "their tasks call it"


@pytest.mark.parametrize("service", OURS)
def test_our_containers_are_not_root_and_cannot_become_it(service: str) -> None:
    assert SERVICES[service]["user"] == "50000:0"
    assert SERVICES[service]["cap_drop"] == ["ALL"]
    assert SERVICES[service]["security_opt"] == ["no-new-privileges:true"]


def test_ports_are_bound_to_this_machine() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}

    assert published == {"api-server": ["127.0.0.1:${AIRFLOW_PORT:-8080}:8080"]}


def test_profiles() -> None:
    profiles = {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service}

    assert profiles == {
        "redis": ["celery"],
        "worker": ["celery"],
        "sandbox": ["sandbox"],
        "sandbox-connections": ["sandbox"],
    }


def test_init_uses_the_names_of_the_code() -> None:
    script = SERVICES["init"]["command"][-1]

    assert f"airflow pools set {CENSUS_POOL} 1 " in script
    assert "--include-deferred" in script
    assert f"{DATABRICKS_CONN_ID}=$$DATABRICKS_CONNECTION" in script
    assert f"{CENSUS_CONN_ID}=$$CENSUS_CONNECTION" in script


def test_a_password_on_a_command_line_is_never_taken_for_an_option() -> None:
    assert ' --password="$$ADMIN_PASSWORD" ' in SERVICES["init"]["command"][-1]
    assert not [value for _ in range(300) if (value := new_values()["REDIS_PASSWORD"]).startswith("-")]


def test_the_docs_have_the_command_that_the_real_run_executes() -> None:
    command = trigger_command((PROJECT / "docs" / "deploy.md").read_text())

    assert command[:4] == ["exec", "-T", "scheduler", "airflow"]
    assert json.loads(command[-1])["scope"] == "created_between"


def test_the_real_run_kills_every_part_that_matters() -> None:
    steps = [step for batch in PLAN for step in batch]

    assert {step.victim for step in steps} == set(Container)
    assert {one.split(",")[0] for one in Container} <= set(SERVICES)
