"""Which scopes are too small or too large."""

import pytest

from feature_sync.backfill.scope import check_size
from feature_sync.config.problems import RunConfigError
from feature_sync.config.run_config import parse_run_config

INCIDENT = {"scope": "created_between", "created_from": "2025-11-21", "created_to": "2025-11-21"}


def test_a_scope_without_records_is_refused() -> None:
    with pytest.raises(
        RunConfigError, match=r"No record is in scope: records created in Salesforce from 2025-11-21 to 2025-11-21"
    ):
        check_size(parse_run_config(INCIDENT), 0, 1024)


def test_more_batches_than_airflow_maps_are_refused_with_numbers_and_a_way_out() -> None:
    config = parse_run_config({"scope": "all", "batch_size": 9})

    with pytest.raises(RunConfigError) as refused:
        check_size(config, 10_000, 1024)

    message = str(refused.value)
    assert "10,000 records in batches of 9 are 1,112 batches, about 60 hours" in message
    assert "at most 1,024" in message
    assert "raise batch_size to 10 or more" in message
    check_size(parse_run_config({"scope": "all", "batch_size": 10}), 10_000, 1024)
