"""A moment for the tests of this folder."""

from datetime import UTC, datetime

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
