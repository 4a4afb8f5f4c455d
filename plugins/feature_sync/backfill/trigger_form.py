"""The trigger form of ``product_feature_backfill``, made from `feature_sync.config.run_config.RunConfig`.

Airflow shows the parameters without a section at once, and folds up the others. So a person sees what is chosen, and
whether it is sent, before anything else.
"""

from datetime import date
from enum import StrEnum
from typing import Any

from airflow.sdk import Param
from pydantic.fields import FieldInfo

from feature_sync.config.run_config import DEFAULTS, MAX_RUN_ID, PARAMETERS, Strategy, limits_of
from feature_sync.config.wording import count_of, duration
from feature_sync.forecast.duration import forecast

INCIDENT_RECORDS = 1296
"""Records of the incident of 2025-11-21, the run that this DAG was made for."""


def expected_duration(records: int = INCIDENT_RECORDS) -> str:
    """How long sending takes if nobody changes the pace, as a sentence."""
    expected = forecast(records, Strategy(DEFAULTS["strategy"]), DEFAULTS["batch_size"], DEFAULTS["wait_seconds"])
    return (
        f"With the pace as it is proposed, {count_of(records, 'record')} are {count_of(expected.batches, 'batch')} and take "
        f"about {duration(expected.seconds)}."
    )


SAID_BESIDE = {"dry_run": expected_duration()}
"""What the form says of a parameter beside its description."""


def _form_field(name: str, parameter: FieldInfo) -> Param:
    shown: Any = parameter.json_schema_extra
    section = {"section": shown["section"]} if shown["section"] else {}
    return Param(
        DEFAULTS[name],
        title=parameter.title,
        description=" ".join(filter(None, (parameter.description, SAID_BESIDE.get(name)))),
        **section,
        **_schema(parameter.annotation, parameter, shown["labels"]),
    )


def _schema(kind: Any, parameter: FieldInfo, labels: dict[str, str]) -> dict[str, Any]:
    """The JSON schema that Airflow's form knows for a kind of parameter."""
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return {"type": "string", "enum": [*kind], "values_display": {str(choice): label for choice, label in labels.items()}}
    if kind is bool:
        return {"type": "boolean"}
    if kind is int:
        low, high = limits_of(parameter)
        return {"type": "integer", "minimum": low, "maximum": high}
    if kind == date | None:
        return {"type": ["null", "string"], "format": "date"}
    if kind == tuple[str, ...]:
        return {"type": ["null", "array"], "items": {"type": "string"}}
    if kind == str | None:
        return {"type": ["null", "string"], "maxLength": MAX_RUN_ID}
    raise TypeError(f"The form has no field for {kind}.")


BACKFILL_PARAMS = {name: _form_field(name, parameter) for name, parameter in PARAMETERS.items()}
