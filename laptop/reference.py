"""``make docs``: writes ``docs/reference.md`` from the code, so that each fact stands in one place."""

import json
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from enum import StrEnum
from inspect import cleandoc
from typing import Any

from airflow.sdk import ObjectStoragePath
from pydantic import AfterValidator, BeforeValidator
from pydantic.fields import FieldInfo

from feature_sync.backfill.payload_guards import Guard
from feature_sync.config.fields import FieldTable
from feature_sync.config.names import BACKFILL_DAG_ID, SETTINGS_PREFIX
from feature_sync.config.paths import PROJECT
from feature_sync.config.problems import RunConfigError
from feature_sync.config.run_config import DEFAULTS, PARAMETERS, parse_run_config
from feature_sync.config.settings import SETTINGS_FILE, Settings
from feature_sync.reconciliation.acceptances import Acceptance
from feature_sync.reconciliation.drift import Drift, ProductDrift
from feature_sync.sending.batches import Attempt, AttemptStatus, Batch, attempt_columns
from feature_sync.storage.descriptions import MARK
from feature_sync.storage.marks import own_tables
from feature_sync.storage.run_files import RunFiles
from feature_sync.storage.source_tables import source_columns
from feature_sync.storage.warehouse import Column, columns_of
from feature_sync.task_defaults.retry_policy import RETRIES, RETRY_POLICY, SOON

PAGE = PROJECT / "docs" / "reference.md"
INTRODUCTION = """\
# Reference

`make docs` writes this page from the code. Do not edit it; a test fails when it is out of date.
"""
FIELD_TABLE = "[field table](deploy.md#the-field-table)"
A_DAY = date(2025, 11, 24)
WRONG: dict[Any, Any] = {str: " ", dict: {" ": 0}, tuple: ("?",)}
"""Values that the validators of a setting refuse, by the setting's type. Every other type refuses 0."""


def render() -> str:
    """The whole page."""
    settings = checked_in_settings()
    sections = {
        "Run parameters": run_parameters(),
        "Settings": settings_table(),
        "Guards": guards(settings),
        "Files of a run": run_file_table(),
        "Our tables": our_tables(settings),
        "Tables that are read": tables_read(settings),
        "Errors and retries": errors(),
    }
    contents = "\n".join(f"- [{title}](#{anchor(title)})" for title in sections)
    return "\n".join([INTRODUCTION, contents, *(f"\n## {title}\n{text}" for title, text in sections.items())]) + "\n"


def checked_in_settings() -> Settings:
    """The settings of ``include/settings.toml``, whatever the environment says."""
    return Settings(**tomllib.loads(SETTINGS_FILE.read_text(encoding="utf-8")))


def run_parameters() -> str:
    """The parameters of a backfill."""
    rows = []
    for name, parameter in PARAMETERS.items():
        shown: Any = parameter.json_schema_extra
        choices = [f"`{choice}`: {label.removeprefix(f'{choice}: ')}" for choice, label in shown["labels"].items()]
        meaning = "<br>".join([str(parameter.description), *choices])
        rows.append((f"`{name}`", code(DEFAULTS[name]), _allowed(name), meaning))
    return (
        f"The parameters of `{BACKFILL_DAG_ID}`. Days are UTC. [Run a backfill](run_a_backfill.md) says how to use them.\n\n"
        + table(("parameter", "default", "allowed", "meaning"), rows)
    )


def _allowed(name: str) -> str:
    """What the run config says when it refuses a value."""
    try:
        parse_run_config({name: {}})
    except RunConfigError as error:
        return re.split(r"; allowed (?:is|are) ", error.problems[0])[1].removesuffix(".")
    raise AssertionError(f"{name} accepts any value")


def settings_table() -> str:
    """Every setting with its checked-in default."""
    defaults = tomllib.loads(SETTINGS_FILE.read_text(encoding="utf-8"))
    schemas = Settings.model_json_schema()
    rows = []
    for name in defaults:
        setting = Settings.model_fields[name]
        allowed = _limits(setting, schemas["properties"][name], schemas.get("$defs", {}))
        rows.append((f"`{SETTINGS_PREFIX}{name.upper()}`", code(defaults[name]), allowed, str(setting.description)))
    return (
        "The defaults stand in [include/settings.toml](../include/settings.toml). An environment variable overrides each of "
        "them; lists and objects are written as JSON. Names that end with `_SECONDS` are seconds, and `_SHARE` is a number "
        "from 0 to 1.\n\n" + table(("setting", "default", "allowed", "meaning"), rows)
    )


def _limits(setting: FieldInfo, schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    """What a setting may be, from its type and from the words of its own validators."""
    if refusal := _refusal(setting):
        return refusal
    schema = definitions[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "pattern" in schema:
        return f"text of the form `{schema['pattern']}`"
    if schema.get("minLength"):
        return "text, not empty"
    kind = {"integer": "a whole number", "number": "a number", "array": "a list"}.get(schema["type"], "text")
    low = schema["exclusiveMinimum"] + 1 if "exclusiveMinimum" in schema else schema.get("minimum")
    limits = [f"{word} {number(limit)}" for word, limit in (("from", low), ("to", schema.get("maximum"))) if limit is not None]
    return " ".join([kind, *limits])


def _refusal(setting: FieldInfo) -> str:
    kind: Any = setting.annotation
    for validator in setting.metadata:
        if isinstance(validator, AfterValidator | BeforeValidator):
            check: Any = validator.func
            try:
                check(WRONG.get(getattr(kind, "__origin__", kind), 0))
            except ValueError as error:
                return str(error).removeprefix("must be ").replace("has  ; allowed are", "an object with any of")
    return ""


def guards(settings: Settings) -> str:
    """What each guard refuses, with its threshold."""
    rows = []
    for guard in Guard:
        text = guard.description
        for name in re.findall(r"GUARD_\w+", text):
            text = text.replace(name, f"`{name}` ({number(getattr(settings, name.lower()))})")
        rows.append((f"`{guard}`", text))
    return (
        "A frozen payload must pass all of them before any of it is sent. "
        "[When a guard refuses](run_a_backfill.md#when-a-guard-refuses) says what to do.\n\n" + table(("guard", "refuses"), rows)
    )


def run_file_table() -> str:
    """The files of a run, by their names."""
    files = RunFiles(ObjectStoragePath("/run"))
    paths = {getattr(files, name): value for name, value in vars(RunFiles).items() if isinstance(value, property)}
    names = {path.name: value.__doc__ for path, value in paths.items()}
    folder = files.batch_folder.name
    names[f"{folder}/{Batch(1, 1, 50, 50).file_name} ..."] = names.pop(folder)
    full = files.full_csv(A_DAY).name.replace(f"{A_DAY:%Y%m%d}", "YYYYMMDD")
    rows = [(f"`{name}`", first_paragraph(text)) for name, text in {full: RunFiles.full_csv.__doc__, **names}.items()]
    return (
        "Each run has a folder of its own below `OUTPUT_PATH`. A file appears when there is something to write to it.\n\n"
        + table(("file", "what is in it"), rows)
    )


def our_tables(settings: Settings) -> str:
    """The columns of our own tables."""
    meanings = {
        settings.sync_log_table: {attempt_columns().get(name, name): text for name, text in attributes(Attempt).items()}
        | {"status": ", ".join(f"`{status}`" for status in AttemptStatus)},
        settings.drift_table: attributes(Drift) | attributes(ProductDrift),
        settings.accepted_table: attributes(Acceptance),
    }
    parts = [
        "The backfill and the weekly run create these tables, and add columns when the field table grows. Each has a mark, the "
        f"table property `{MARK}`. A table without its mark is [never changed](deploy.md#our-tables)."
    ]
    for own in own_tables(settings):
        rows = _column_rows(columns_of(settings, own.definition), settings.fields)
        known = meanings.get(own.name)
        if known:
            texts = table(("column", "type", "meaning"), ((name, kind, known.get(name.strip("`"), "")) for name, kind in rows))
        else:
            texts = table(("column", "type"), rows)
        parts.append(f"{_table_heading(settings, own.name)}\n\n{texts}")
    return "\n\n".join(parts)


def _table_heading(settings: Settings, table_name: str) -> str:
    [setting] = [name for name in Settings.model_fields if name.endswith("_table") and getattr(settings, name) == table_name]
    meaning = str(Settings.model_fields[setting].description).removeprefix("Ours: ")
    return f"### `{setting.upper()}`\n`{table_name}`. {sentence(meaning)}"


def _column_rows(columns: Sequence[Column], fields: FieldTable) -> Iterator[tuple[str, str]]:
    """A row for each column, but only one for all columns of the field table."""
    every, features = [field.column for field in fields], [f"before_{field.column}" for field in fields.features]
    groups = {
        every[0]: (len(every), f"the {len(every)} columns of the {FIELD_TABLE}"),
        features[0]: (len(features), f"`before_<column>` for each of the {len(features)} features"),
    }
    left = list(columns)
    while left:
        size, text = groups.get(left[0].name, (1, f"`{left[0].name}`"))
        if left[size - 1 :] == [] or left[size - 1].name not in (every[-1], features[-1]):
            size, text = 1, f"`{left[0].name}`"  # the keys alone
        yield text, ", ".join(dict.fromkeys(f"`{column.type}`" for column in left[:size]))
        del left[:size]


def tables_read(settings: Settings) -> str:
    """The columns that a run needs of other tables."""
    parts = ["Every run checks that these tables have these columns, with one of these types. They may have others too."]
    for name, columns in source_columns(settings).items():
        rows = [
            (f"`{column}`", ", ".join(f"`{kind.upper()}`" for kind in sorted(kinds)) or "any")
            for column, kinds in columns.items()
        ]
        parts.append(f"{_table_heading(settings, name)}\n\n{table(('column', 'type'), rows)}")
    return "\n\n".join(parts)


def errors() -> str:
    """Which errors are tried again."""
    rows = []
    for rule in RETRY_POLICY.rules:
        error: Any = rule.exception
        again = f"after {rule.retry_delay.seconds} s" if rule.retry_delay else "no"
        is_ours = error.__module__.startswith("feature_sync.")
        meaning = first_paragraph(error.__doc__) if is_ours else "An error of Airflow."
        rows.append((f"`{error.__name__}`", meaning, again, str(rule.reason)))
    return (
        f"A task is tried again at most {RETRIES} times. The first row that fits decides; every other error is tried again after "
        f"{SOON.seconds} s.\n\n" + table(("error", "meaning", "tried again", "because"), rows)
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def code(value: Any) -> str:
    """A value as a person writes it."""
    if value is None or value in ("", [], {}):
        return "none"
    return f"`{value if isinstance(value, str | date | StrEnum) else json.dumps(value)}`"


def number(value: Any) -> str:
    """A number without an empty fraction; anything else as it is."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def first_paragraph(docstring: str | None) -> str:
    """The first paragraph of a docstring, in Markdown."""
    return " ".join(cleandoc(docstring or "").partition("\n\n")[0].split()).replace("``", "`")


def attributes(described: type) -> dict[str, str]:
    """What a class's docstring says of its attributes, as in `` ``name``: what it is. ``other``: what that is.``."""
    found: dict[str, str] = {}
    for paragraph in cleandoc(described.__doc__ or "").split("\n\n"):
        _, *parts = re.split(r"((?:``\w+``(?:, )?)+): ", " ".join(paragraph.split()))
        for names, text in zip(parts[::2], parts[1::2], strict=True):
            meaning = sentence(text.strip().replace("``", "`").replace("None", "NULL"))
            found |= dict.fromkeys(re.findall(r"\w+", names), meaning)
    return found


def sentence(text: str) -> str:
    """The text with a capital letter in front."""
    return text[:1].upper() + text[1:]


def anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.relative_to(PROJECT)} written\n")
