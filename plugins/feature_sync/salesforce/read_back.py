"""Reads records back from Salesforce right after they were sent, and compares them value by value."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from feature_sync.config.settings import Settings
from feature_sync.salesforce.comparison import Comparison, Values, compare
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

    reader: SalesforceReader
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
            found = replace(again, records=len(sent))
        return found

    def _look(self, sent: Mapping[str, Values]) -> Comparison:
        fields = self.settings.fields
        names = [each.salesforce_name for each in fields]
        key = fields.upsert_key.salesforce_name
        return compare(sent, self.reader.read_records(self.settings.salesforce_object, key, sent.keys(), names), fields)
