"""What can go wrong between us and Census.

CensusError
├── CensusUnavailableError        no connection, 429 or 5xx after all retries: may pass
├── CensusTriggerUnansweredError  the trigger was sent but its answer is lost: a run may exist and must be looked up
├── CensusBusyError               a run is active for longer than the limit, ours or another's
├── CensusAuthError          401 or 403: the connection's token is wrong
├── CensusRefusedError            any other 4xx, or an answer with status "error": the request itself is wrong
└── CensusProtocolError      an answer that is not what the API documents
"""


class CensusError(Exception):
    """Base of all errors of the Census API. The message never holds a token."""


class CensusUnavailableError(CensusError):
    """Census did not answer, or asked to come back later, as often as the hook tries."""


class CensusTriggerUnansweredError(CensusError):
    """
    A trigger was sent and its answer was lost or not understood.

    Census documents no idempotency key, so the run it may have started has to be looked up before another trigger.

    :param may_arrive: nobody answered in time, so the request itself may still be on its way and start a run later.
    """

    def __init__(self, message: str, *, may_arrive: bool = False) -> None:
        super().__init__(message)
        self.may_arrive = may_arrive


class CensusBusyError(CensusError):
    """A run of the sync does not end, so no other may start."""


class CensusAuthError(CensusError):
    """The token of the connection is missing, expired, or lacks a permission."""


class CensusRefusedError(CensusError):
    """Census understood the request and refused it."""


class CensusProtocolError(CensusError):
    """The answer is not JSON, or lacks what the API documents."""
