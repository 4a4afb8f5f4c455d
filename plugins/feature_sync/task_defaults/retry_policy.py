"""Which errors are worth another try. A retry is always safe, because every step looks at the state of things before it acts."""

from datetime import timedelta

from airflow.providers.standard.exceptions import HITLRejectException, HITLTimeoutError
from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from feature_sync.backfill.flow_questions import FlowStateError
from feature_sync.backfill.plan import PlanError
from feature_sync.backfill.probing import ProbeError
from feature_sync.backfill.validation import NothingToValidateError, SalesforceDiffersError
from feature_sync.census.errors import CensusAuthError, CensusError, CensusRefusedError
from feature_sync.config.fields import FieldTableError
from feature_sync.config.problems import CsvError, GuardError, NotReadyError, OwnTableError, RunConfigError
from feature_sync.config.settings import BadSettingsError
from feature_sync.deployment.deploy import DeployError, SourceQueryError
from feature_sync.deployment.value_check import UnjudgedError
from feature_sync.orchestration.approvals import QuestionChangedError
from feature_sync.pilot.rest import PilotError
from feature_sync.reconciliation.comparison import DriftError, HealingRefusedError
from feature_sync.reconciliation.drift import NothingComparedError
from feature_sync.reconciliation.operators import HealingFailedError
from feature_sync.replica.state import ReplicaStalledError
from feature_sync.salesforce.errors import SalesforceAuthError, SalesforceError, SalesforceLimitError
from feature_sync.sending.outcome import (
    BatchFailedError,
    BatchHaltedError,
    BatchLockedError,
    BatchSkippedError,
    BatchUnconfirmedError,
)
from feature_sync.sending.sender import NotTriggeredError, StagingError
from feature_sync.storage.warehouse import AccessError, StatementError
from feature_sync.verify.verification import NotReadyForRunsError

RETRIES = 3
SOON = timedelta(seconds=30)


def _fail(error: type[Exception], reason: str) -> RetryRule:
    return RetryRule(exception=error, action=RetryAction.FAIL, reason=reason)


def _retry(error: type[Exception], reason: str) -> RetryRule:
    return RetryRule(exception=error, action=RetryAction.RETRY, retry_delay=SOON, reason=reason)


# The first rule that matches decides. The delay may be shorter than wait_seconds, because the send task itself keeps the pause.
RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        _fail(RunConfigError, "a retry cannot fix the run config"),
        _fail(BadSettingsError, "a retry cannot fix the settings"),
        _fail(FieldTableError, "a retry cannot fix the field table"),
        _fail(GuardError, "a person has to correct what the guard found"),
        _fail(NotReadyForRunsError, "a person has to repair what is wrong"),
        _fail(OwnTableError, "a retry cannot fix the table"),
        _fail(PlanError, "the payload is frozen, so a retry finds the same"),
        _fail(ProbeError, "the records need smaller batches"),
        _fail(PilotError, "a person has to look at the pilot"),
        _fail(CsvError, "the payload is frozen, so a retry finds the same"),
        _fail(BatchFailedError, "the same records would be rejected again, or the outcome is unknown"),
        _fail(BatchHaltedError, "a person has to look at the earlier failures"),
        _fail(NothingToValidateError, "a person has to look at the first red task"),
        _fail(SalesforceDiffersError, "a person has to look at the difference"),
        _fail(ReplicaStalledError, "the time limit has passed already"),
        _fail(NothingComparedError, "a retry cannot fill the table"),
        _fail(DriftError, "a person has to look at the difference"),
        _fail(HealingRefusedError, "a person has to look at how much differs"),
        _fail(HealingFailedError, "the backfill has its own retries"),
        _fail(SourceQueryError, "a person has to correct the query"),
        _fail(UnjudgedError, "a person has to look at what the regular sync reads"),
        _fail(DeployError, "a person has to look at what Census has"),
        _fail(CensusAuthError, "a retry cannot fix the token, which was just read again"),
        _fail(CensusRefusedError, "a retry cannot fix the request"),
        _fail(SalesforceAuthError, "a retry cannot fix the login, and may lock the user out"),
        _fail(SalesforceLimitError, "each try uses up API calls that the organisation does not have"),
        _fail(HITLRejectException, "a person said no"),
        _fail(QuestionChangedError, "the numbers have changed since the question was asked"),
        _fail(HITLTimeoutError, "nobody answered in time"),
        _retry(NotReadyError, "the problems may be temporary"),
        _retry(BatchLockedError, "the lock is temporary; only the rejected rows are sent again"),
        _retry(CensusError, "Census may answer next time"),
        _retry(FlowStateError, "the Flow may be switched in the meantime; the answer of the person stays"),
        _retry(BatchUnconfirmedError, "Salesforce may answer next time; nothing is sent again"),
        _retry(SalesforceError, "Salesforce may answer next time"),
        _retry(BatchSkippedError, "the other run will have ended"),
        _retry(NotTriggeredError, "Census may answer next time"),
        _retry(StagingError, "another task staged its batch in between"),
        _fail(AccessError, "a retry cannot fix the credentials, which were just read again"),
        _retry(StatementError, "the warehouse may answer next time"),
    ],
    default=RetryAction.DEFAULT,
)
