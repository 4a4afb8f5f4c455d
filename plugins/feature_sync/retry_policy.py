"""Which errors are worth another try. A retry is always safe: every step looks at what is there before it acts."""

from datetime import timedelta

from airflow.providers.standard.exceptions import HITLRejectException, HITLTimeoutError
from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from feature_sync.approvals import QuestionChangedError
from feature_sync.batches import PlanError
from feature_sync.census.errors import CensusAuthError, CensusError, CensusRefusedError
from feature_sync.csv_files import CsvError
from feature_sync.dataset_deploy import DeployError, SourceQueryError
from feature_sync.drift import DriftError, HealingRefusedError
from feature_sync.fields import FieldTableError
from feature_sync.guards import GuardError
from feature_sync.healing import HealingFailedError
from feature_sync.outcome import BatchFailedError, BatchHaltedError, BatchLockedError, BatchSkippedError
from feature_sync.preconditions import NotReadyError
from feature_sync.probing import ProbeError
from feature_sync.reconciliation import NothingComparedError
from feature_sync.run_config import RunConfigError
from feature_sync.schema import OwnTableError
from feature_sync.sending import NotTriggeredError, StagingError
from feature_sync.settings import SettingsError
from feature_sync.validation import CopyStalledError, NothingToValidateError, ValidationError
from feature_sync.warehouse import StatementError

RETRIES = 3
SOON = timedelta(seconds=30)


def _fail(error: type[Exception], reason: str) -> RetryRule:
    return RetryRule(exception=error, action=RetryAction.FAIL, reason=reason)


def _retry(error: type[Exception], reason: str) -> RetryRule:
    return RetryRule(exception=error, action=RetryAction.RETRY, retry_delay=SOON, reason=reason)


# The first rule that fits decides. The delay may be shorter than wait_seconds: the operator itself keeps the distance.
RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        _fail(RunConfigError, "the run config stays wrong"),
        _fail(SettingsError, "the settings stay wrong"),
        _fail(FieldTableError, "the field table stays wrong"),
        _fail(GuardError, "a person has to correct what the guard found"),
        _fail(OwnTableError, "the table stays as it is"),
        _fail(PlanError, "the payload is frozen and stays as it is"),
        _fail(ProbeError, "the records have to go in smaller batches"),
        _fail(CsvError, "the payload is frozen and stays as it is"),
        _fail(BatchFailedError, "the same records would be rejected again, or nobody knows"),
        _fail(BatchHaltedError, "a person has to look at the failures before"),
        _fail(NothingToValidateError, "the first red task has to be looked at"),
        _fail(ValidationError, "the difference has to be looked at"),
        _fail(CopyStalledError, "the limit has passed already"),
        _fail(NothingComparedError, "the copy stays empty"),
        _fail(DriftError, "the difference has to be looked at"),
        _fail(HealingRefusedError, "a person has to look at how much differs"),
        _fail(HealingFailedError, "the backfill has tried it again itself"),
        _fail(SourceQueryError, "a person has to deploy the query"),
        _fail(DeployError, "a person has to look at what Census has"),
        _fail(CensusAuthError, "the token stays wrong"),
        _fail(CensusRefusedError, "the request stays wrong"),
        _fail(HITLRejectException, "a person said no"),
        _fail(QuestionChangedError, "the numbers stay others"),
        _fail(HITLTimeoutError, "nobody answered in time"),
        _retry(NotReadyError, "what does not answer may answer next time"),
        _retry(BatchLockedError, "the lock will be gone; only the rejected rows are sent again"),
        _retry(CensusError, "Census may answer next time"),
        _retry(BatchSkippedError, "the other run will have ended"),
        _retry(NotTriggeredError, "Census may answer next time"),
        _retry(StagingError, "another task staged its batch meanwhile"),
        _retry(StatementError, "the warehouse may answer next time"),
    ],
    default=RetryAction.DEFAULT,
)
