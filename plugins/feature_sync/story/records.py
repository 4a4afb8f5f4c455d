"""Finds a record by what people call it, and reads its story from our own tables."""

from dataclasses import dataclass

from feature_sync.config.names import BACKFILL_DAG_ID, RECONCILIATION_DAG_ID
from feature_sync.config.settings import Settings, load_settings
from feature_sync.storage.warehouse import Row, StatementError, Warehouse
from feature_sync.story.events import Event, answer_in_short, events_of

MAX_FOUND = 20
"""Records that are named if several are meant; ``story/find_records.sql`` returns one more."""


LACKING = ("[TABLE_OR_VIEW_NOT_FOUND]", "[UNRESOLVED_COLUMN")
"""What the warehouse says if a table of ours, or a column of it, is not there."""


class UnknownRecordError(LookupError):
    """No record is meant, or more than one; or our tables are not there yet."""


@dataclass(frozen=True, slots=True)
class Story:
    """
    What happened to a record.

    ``title``: its name and its ids. ``events``: in the order of time. ``answer``: why it shows what it shows, in short.
    """

    title: str
    events: list[Event]
    answer: str
    payload_days: int

    def __str__(self) -> str:
        return "\n".join(
            [
                self.title,
                "",
                *(str(event) for event in self.events),
                "",
                self.answer,
                f"Times are UTC. Values are kept {self.payload_days} days after a run's last activity. mismatches.csv of the "
                "newest weekly run says whether the record differs from the warehouse today, and why.",
            ]
        )


def tell_story(asked: str) -> Story:
    """
    Read what our tables know of a record.

    :param asked: its Salesforce id, its key, its property's id, or the property's name or a part of it.
    :raises UnknownRecordError: no run has frozen such a record, or several are meant. The message names them.
    :raises StatementError: the warehouse refuses, or does not answer.
    """
    try:
        return _read_story(asked, load_settings())
    except StatementError as error:
        if any(said in str(error) for said in LACKING):
            raise UnknownRecordError(
                "There is no story yet: our tables in the warehouse are not there, or are those of an earlier version. The first "
                "task of the next run makes them."
            ) from error
        raise


def _read_story(asked: str, settings: Settings) -> Story:
    with Warehouse(settings) as warehouse:
        record = _choose(warehouse.fetch_all("story/find_records", {"asked": asked.strip()}), asked, settings)
        values = {"salesforce_id": record["salesforce_id"]}
        attempts = warehouse.fetch_all("story/select_attempts", values)
        read_backs = warehouse.fetch_all("story/select_read_backs", values)
        answers = warehouse.fetch_all(
            "story/select_answers",
            {
                "salesforce_id": record["salesforce_id"],
                "backfill_dag_id": BACKFILL_DAG_ID,
                "weekly_dag_id": RECONCILIATION_DAG_ID,
            },
        )
    return Story(
        title=_title(record, settings),
        events=events_of(attempts, read_backs, answers, settings.fields),
        answer=answer_in_short(attempts, read_backs, settings.fields),
        payload_days=settings.payload_days,
    )


def _choose(found: list[Row], asked: str, settings: Settings) -> Row:
    if not asked.strip() or not found:
        raise UnknownRecordError(
            f"No run of the last {settings.payload_days} days has a record with the id or name {asked!r}. Give a Salesforce id, "
            f"{' or '.join(key.salesforce_name for key in settings.fields.keys)}, or a part of the property's name."
        )
    whole = [row for row in found if row["is_whole"]]
    chosen = whole or found
    if len(chosen) == 1:
        return chosen[0]
    names = [f"  {_title(row, settings)}" for row in chosen[:MAX_FOUND]]
    more = ["  and others"] if len(chosen) > MAX_FOUND else []
    raise UnknownRecordError("\n".join([f"{asked!r} may mean several records. Give the id of one:", *names, *more]))


def _title(record: Row, settings: Settings) -> str:
    keys = ", ".join(f"{key.salesforce_name} {record[key.column] or 'empty'}" for key in settings.fields.keys)
    return f"{record['property_name'] or 'A property without a name'} (record {record['salesforce_id']}, {keys})"
