"""A site whose ``[core] allowed_deserialization_classes`` matches nothing: Airflow loads only its own, such as times."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from airflow.sdk import serde


@contextmanager
def strict_site() -> Iterator[None]:
    """Airflow's option, and what Airflow has remembered of it."""
    remembered = (serde._get_patterns, serde._get_regexp_patterns, serde._match_glob, serde._match_regexp)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES", "nothing.of.ours")
        patch.setenv("AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES_REGEXP", "")
        for each in remembered:
            each.cache_clear()
        yield
    for each in remembered:
        each.cache_clear()


def loaded(value: Any) -> Any:
    """What comes back when Airflow has stored a value in its database."""
    with strict_site():
        return serde.deserialize(json.loads(json.dumps(serde.serialize(value))))


def stored(value: Any) -> Any:
    """What comes back from an XCom. It must be what went in, and plain JSON, whatever a site's XCom backend makes of it."""
    back = loaded(value)
    assert back == value
    assert json.loads(json.dumps(value)) == value, "it is no plain JSON"
    return back
