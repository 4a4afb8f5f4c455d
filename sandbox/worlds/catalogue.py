"""The worlds by name."""

from pathlib import Path

from sandbox.worlds.definition import WorldDefinition

INCIDENT = "incident"
REAL = "real"
WORLDS = (INCIDENT, REAL)
PROJECT = Path(__file__).resolve().parents[2]


def world_named(name: str) -> WorldDefinition:
    """:raises KeyError: there is no such world."""
    # A world takes a moment to import, and a process needs only one.
    match name:
        case "incident":
            from sandbox.worlds.incident import INCIDENT_WORLD  # noqa: PLC0415

            return INCIDENT_WORLD
        case "real":
            from sandbox.worlds.real import REAL_WORLD  # noqa: PLC0415

            return REAL_WORLD
    raise KeyError(name)


def settings_lines(name: str) -> list[str]:
    """Environment lines with the settings of the package that fit it to this world. The default world needs none."""
    return [f"{variable}={value}" for variable, value in world_named(name).project_settings(PROJECT).items()]
