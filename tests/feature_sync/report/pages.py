"""Pages for tests, and a look at their tags."""

from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

from feature_sync.config.fields import load_fields
from feature_sync.config.run_config import parse_run_config
from feature_sync.report.facts import Origin, Report
from feature_sync.report.open_records import NOTHING_OPEN
from feature_sync.report.runs import validation_report

FIELDS = load_fields()
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ORIGIN = Origin("product_feature_backfill", "manual__2026-11-23", NOON, "ada", "manual")
VOID = ("meta", "br", "line", "path", "rect", "circle", "polyline", "link")


class Tags(HTMLParser):
    """The tags of a page. Each that is opened must be closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def evidence(**changes: Any) -> dict[str, Any]:
    """``validation.json`` of a run of 12 records that are all right."""
    books = {"in_scope": 12, "sent": 12, "rejected": 0, "not_sent": 0, "accepted_by_counters": 0}
    return {
        "checked_at": NOON.isoformat(),
        "mirror_synced_at": NOON.isoformat(),
        "properties_checked": 12,
        "properties_mismatched": 0,
        "nothing_to_do": None,
        "records": books,
        "compared_with": {"note": "Read from the replica alone: there is no connection."},
        "regular_sync": [],
        "causes_note": "",
        "products": [
            {"label": product.label, "enabled_in_salesforce": 12, "enabled_in_warehouse": 12, "mismatched": 0}
            for product in FIELDS.products
        ],
        **changes,
    }


def sent(conf: dict[str, Any] | None = None, **changes: Any) -> Report:
    """The report about it, with changes to what it is made of."""
    values: dict[str, Any] = {
        "evidence": evidence(),
        "config": parse_run_config(conf or {}),
        "origin": ORIGIN,
        "before": {f"{product.name}_now": 1 for product in FIELDS.products},
        "fields": FIELDS,
        "expected": "the warehouse",
        "problems": [],
        "open_records": NOTHING_OPEN,
        "causes": (),
        "answers": (),
        "askable": (),
        "batches": {"batches": 3},
    }
    return validation_report(**values | changes)
