"""Reads records back from Salesforce right after they were sent, and compares them value by value."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from feature_sync.config.fields import FieldTable
from feature_sync.config.settings import Settings
from feature_sync.salesforce.comparison import Comparison, Values, compare, held_value
from feature_sync.salesforce.errors import SalesforceProtocolError
from feature_sync.salesforce.models import SalesforceRecord

if TYPE_CHECKING:
    from feature_sync.salesforce.hook import SalesforceReader

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReadBack:
    """
    Looks at records until they are as they were sent, or until ``seconds`` have passed.

    :param seconds: how long a difference is looked at again. Salesforce shows at once what was written, but an automation that
        runs after it may write once more.
    :param pause: seconds between two looks.
    """

    reader: "SalesforceReader"
    settings: Settings
    seconds: float
    pause: float

    def compare(self, sent: Mapping[str, Values]) -> Comparison:
        """
        Compare what was sent with what Salesforce holds now.

        :param sent: the values by upsert key and column.
        :raises SalesforceError: Salesforce could not be asked.
        """
        end = time.monotonic() + self.seconds
        found = self._look(sent)
        while found.differences and (left := end - time.monotonic()) > 0:
            log.info("%s of %s records differ; looking again", len(found.keys), len(sent))
            time.sleep(min(self.pause, left))
            again = self._look({key: sent[key] for key in found.keys})
            found = replace(again, records=len(sent), found={**found.found, **again.found})
        return found

    def _look(self, sent: Mapping[str, Values]) -> Comparison:
        fields = self.settings.fields
        names = [each.salesforce_name for each in fields]
        key = fields.upsert_key.salesforce_name
        return compare(sent, self.reader.read_records(self.settings.salesforce_object, key, sent.keys(), names), fields)


def rows_of(found: Mapping[str, tuple[SalesforceRecord, ...]], fields: FieldTable) -> list[dict[str, Any]]:
    """
    What Salesforce holds, by the columns of the read-back table. A record with a value that is none of its field's kind is left
    out, so nothing is known of it.

    :param found: the records, as `RecordsRead` has them. ``unreadable`` names the columns that nobody could read.
    """
    rows = []
    for record in (each for records in found.values() for each in records):
        shown = [each for each in fields.features if each.salesforce_name in record.values]
        try:
            values = {each.column: held_value(each, record.values[each.salesforce_name]) for each in shown}
        except SalesforceProtocolError as odd:
            log.warning("What Salesforce holds of %s (%s) is not kept: %s", record.key, record.id, odd)
            continue
        rows.append(
            {
                "salesforce_id": record.id,
                fields.upsert_key.column: record.key,
                "modified_at": record.modified_at,
                "modified_by": record.modified_by,
                "unreadable": ",".join(each.column for each in fields.features if each not in shown) or None,
                **values,
            }
        )
    return rows
