"""The records that follow a pilot. The warehouse gives them to nobody before a person has released them."""

from dataclasses import dataclass

from feature_sync.config.settings import load_settings
from feature_sync.config.wording import count_of
from feature_sync.storage.warehouse import Warehouse


class PilotError(RuntimeError):
    """
    The pilot did not arrive as it was sent, or nobody has approved it. The others are not sent.

    :param is_explained: another task of the run has failed and said why.
    """

    def __init__(self, message: str, *, is_explained: bool = False) -> None:
        super().__init__(message)
        self.is_explained = is_explained


def release_pilot(warehouse: Warehouse, run_id: str) -> None:
    """Allow the pilot to be sent, and nothing else of the run."""
    warehouse.execute("pilot/release_pilot", {"run_id": run_id})


def hold_rest(run_id: str) -> None:
    """Before a person is asked: take back an answer to an earlier question about this pilot."""
    with Warehouse(load_settings()) as warehouse:
        warehouse.execute("pilot/revoke_rest", {"run_id": run_id})


@dataclass(frozen=True, slots=True)
class Rest:
    """
    What follows the pilot of a run.

    ``records_waiting``: those of its records that may not be sent, because nobody has released them.
    """

    records: int
    batches: int
    records_waiting: int

    @property
    def cure(self) -> str:
        """For the verdict of a run of which nothing but the pilot may be sent: why, and what to do."""
        return (
            f"{count_of(self.records_waiting, 'record')} may not be sent, because nobody has approved the pilot. If the pilot "
            "failed, clear its `probe.send` task with downstream tasks. If it was rejected, or nobody answered, nothing more is "
            "sent. To decide once more, clear `approve_pilot` with downstream tasks."
        )


def read_rest(warehouse: Warehouse, run_id: str) -> Rest:
    """What follows the pilot. Nothing, if the pilot has all records of the run."""
    return Rest(**warehouse.fetch_one("pilot/count_rest", {"run_id": run_id}))


def subject_of_rest(run_id: str) -> str:
    """The question about the pilot of a run, in one line."""
    with Warehouse(load_settings()) as warehouse:
        return f"Send the other {count_of(read_rest(warehouse, run_id).records, 'record')} too?"


def refuse_unreleased(warehouse: Warehouse, run_id: str) -> None:
    """
    Prove that a person has released what follows the pilot. A task that was marked as a success releases nothing.

    :raises PilotError: nobody has.
    """
    if waiting := read_rest(warehouse, run_id).records_waiting:
        raise PilotError(
            f"Nobody has approved the pilot, so {count_of(waiting, 'record', 'is not sent', 'are not sent')}. Clear "
            "`approve_pilot` with downstream tasks: then the question is asked."
        )
