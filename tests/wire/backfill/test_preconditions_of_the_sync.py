"""Settings of the live sync that change what is written, or when: the first step of a run refuses them by name."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.sandbox.client import BACKFILL, Sandbox
from tests.wire.backfill.checking import INCIDENT, ByHand, check, problems_of

pytestmark = pytest.mark.usefixtures("watch")
Change = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture
def restored(sandbox: Sandbox, by_hand: ByHand) -> Iterator[None]:
    """The settings that `change_sync` does not restore."""
    names = ("mode", "field_behavior", "instant_mode")
    with by_hand():
        original = sandbox.census("GET", f"syncs/{BACKFILL}").json()["data"]
    yield
    with by_hand():
        values = {name: original.get(name) for name in names}
        assert sandbox.census("PATCH", f"syncs/{BACKFILL}", json=values).ok


def set_if_empty(sync: dict[str, Any]) -> dict[str, Any]:
    return {"mappings": [each | {"preserve_values": each["to"] == sync["mappings"][2]["to"]} for each in sync["mappings"]]}


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        pytest.param(set_if_empty, "has the setting preserve_values = True: 'Set If Empty'", id="set-if-empty"),
        pytest.param(
            lambda sync: {"source_attributes": sync["source_attributes"] | {"filter_segment_id": 9}},
            "it has the setting source_attributes.filter_segment_id = 9: records outside of this segment",
            id="segment",
        ),
        pytest.param(lambda _: {"mode": {"type": "live"}}, "the mode 'live' starts it too", id="live"),
        pytest.param(
            lambda sync: {"mode": sync["mode"] | {"triggers": {"fivetran": {"job": "x"}}}},
            "the trigger 'fivetran' starts it too",
            id="another-tool",
        ),
        pytest.param(lambda _: {"field_behavior": "sync_all_properties"}, "fields that nobody mapped", id="all-fields"),
        pytest.param(lambda _: {"instant_mode": True}, "Census would start runs by itself", id="instant"),
    ],
)
def test_a_setting_that_changes_what_is_written_or_when_is_refused(
    change_sync: Callable[[Change], None], change: Change, complaint: str
) -> None:
    change_sync(change)

    [problem] = problems_of(INCIDENT)

    assert problem.startswith(f"Census sync {BACKFILL}: ")
    assert complaint in problem


def test_a_setting_that_nobody_here_knows_passes_once_it_is_declared_harmless(
    change_sync: Callable[[Change], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    change_sync(lambda sync: {"mappings": [each | {"color": "red"} for each in sync["mappings"]]})
    [problem] = problems_of(INCIDENT)
    assert "color = 'red'. This package does not know" in problem

    monkeypatch.setenv("FEATURE_SYNC_CENSUS_HARMLESS_SETTINGS", '["mappings.color"]')

    assert check(INCIDENT)["records"] == 1_296
