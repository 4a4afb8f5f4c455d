"""The trigger form of ``product_feature_backfill``, made from `feature_sync.config.run_config.RunConfig`."""

from datetime import date
from enum import StrEnum
from typing import Any

from airflow.sdk import Param
from pydantic.fields import FieldInfo

from feature_sync.config.run_config import DEFAULTS, MAX_RUN_ID, PARAMETERS, limits_of


def _form_field(name: str, parameter: FieldInfo) -> Param:
    shown: Any = parameter.json_schema_extra
    return Param(
        DEFAULTS[name],
        title=parameter.title,
        section=shown["section"],
        description=parameter.description,
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
