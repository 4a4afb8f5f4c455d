"""What is sent to people, and what is too quiet to be sent; the alerts' own tests have the channels that fail."""

import pytest

from feature_sync.config.settings import AlertLevel
from feature_sync.orchestration import channel
from tests.receiver import Receiver


@pytest.mark.parametrize(
    ("least", "sent"),
    [("info", ["info", "warning", "failure"]), ("warning", ["warning", "failure"]), ("failure", ["failure"])],
)
def test_only_what_is_loud_enough_is_sent(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, least: str, sent: list[str]
) -> None:
    monkeypatch.setenv("FEATURE_SYNC_ALERT_LEVEL", least)

    answers = [channel.deliver(level, f"It is {level}", "Text") for level in AlertLevel]

    assert [one["type"] for one in receiver.messages] == sent
    assert answers == [level.value in sent for level in AlertLevel]


def test_what_went_well_is_green(receiver: Receiver) -> None:
    assert channel.deliver(AlertLevel.INFO, "All is equal", "Text", is_success=True)

    assert [one["type"] for one in receiver.messages] == ["success"]


def test_without_a_connection_nothing_is_sent(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FEATURE_SYNC_ALERT_CONN_ID")

    assert not channel.is_on()
    assert not channel.deliver(AlertLevel.FAILURE, "Title", "Text")
    assert receiver.messages == []


@pytest.mark.parametrize(
    ("level", "louder"),
    [
        (AlertLevel.INFO, AlertLevel.WARNING),
        (AlertLevel.WARNING, AlertLevel.FAILURE),
        (AlertLevel.FAILURE, AlertLevel.FAILURE),
    ],
)
def test_the_next_louder_level(level: AlertLevel, louder: AlertLevel) -> None:
    assert level.louder is louder


def test_an_address_keeps_the_path_of_the_server_and_hides_nothing_of_an_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://tools.example/airflow/")

    assert channel.page("dags", "d", "runs", "a/b+c:1") == "https://tools.example/airflow/dags/d/runs/a%2Fb%2Bc%3A1"
