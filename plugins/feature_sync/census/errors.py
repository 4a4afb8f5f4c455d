"""What can go wrong between us and Census.

CensusError
├── CensusUnavailableError        no connection, 429 or 5xx after all retries: may be temporary
│   └── CensusTokenUnknownError   Airflow cannot say what the token is now, so Census was not asked, or not again
├── CensusTriggerUnansweredError  the trigger was sent but its answer was lost: a run may exist and must be looked up
├── CensusBusyError               a run, ours or another's, has been active for longer than the limit
├── CensusAuthError               401 or 403, although the token was read again: it is wrong
│   └── CensusForbiddenError      403: the token is known, but may not do this
├── CensusRefusedError            any other 4xx, or an answer with status "error": the request itself is wrong
│   └── CensusNotFoundError       404: there is no such thing, or it is no longer kept
└── CensusProtocolError           an answer that the API does not document
"""


class CensusError(Exception):
    """Base of all errors of the Census API. A message never contains a token."""


class CensusUnavailableError(CensusError):
    """Census did not answer, or asked us to come back later, in each of the hook's attempts."""


class CensusTokenUnknownError(CensusUnavailableError):
    """Airflow cannot read the connection now. Nothing was sent, or what was sent was refused with a token that may be old."""


class CensusTriggerUnansweredError(CensusError):
    """
    A trigger was sent, and its answer was lost or not understood.

    Census documents no idempotency key, so the run that it may have started has to be looked up before another trigger.

    :param may_arrive: nobody answered in time, so the request itself may still be on its way and start a run later.
    """

    def __init__(self, message: str, *, may_arrive: bool = False) -> None:
        super().__init__(message)
        self.may_arrive = may_arrive


class CensusBusyError(CensusError):
    """A run of the sync does not end, so no other run may start."""


class CensusAuthError(CensusError):
    """The connection is missing, or Census refuses its token, although it was just read again."""


class CensusForbiddenError(CensusAuthError):
    """The token of the connection is known to Census, but lacks the permission for this call."""


class CensusRefusedError(CensusError):
    """Census understood the request and refused it."""


class CensusNotFoundError(CensusRefusedError):
    """Census has no such sync or run, or does not keep it any more."""


class CensusProtocolError(CensusError):
    """The answer is not JSON, or lacks a field that the API documents."""
