"""The wire of a Databricks SQL warehouse: Thrift messages of TCLIService over HTTP POST, results as Arrow.

The definitions of the messages ship with databricks-sql-connector (``databricks.sql.thrift_api``). The answers were measured with
its version 4.9.
"""
# ruff: noqa: N802 - the protocol defines the names of the methods

import hmac
import logging
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import pyarrow as pa
from databricks.sql.thrift_api.TCLIService import TCLIService
from databricks.sql.thrift_api.TCLIService import ttypes as thrift
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.transport.TTransport import TMemoryBuffer, TTransportException

from sandbox.warehouse.engine import Engine
from sandbox.warehouse.statements import Namespace, Parameter, Result, Statement, StatementCanceled, StatementError

MAX_PARAMETERS = 256
"""https://github.com/databricks/databricks-sql-python/issues/300. Message: https://github.com/airbytehq/airbyte/issues/46931."""

ANSWER_WITHIN = 5.0
"""After this many seconds a running statement's request is answered without a result. The client then asks for the status."""

HOLD_STATUS = 1.0
"""A request for the status waits this many seconds for the statement's end, because the connector asks again at once."""

SESSION_IDLE_SECONDS = 3_600.0
STATEMENTS_AT_ONCE = 16
PROTOCOL = thrift.TProtocolVersion.SPARK_CLI_SERVICE_PROTOCOL_V8
OK = thrift.TStatus(thrift.TStatusCode.SUCCESS_STATUS)

logger = logging.getLogger(__name__)


class StatementFault(Exception):  # noqa: N818 - the test asked for it, so it is no error of the sandbox
    """Raised by `on_statement`. The statement is not executed and fails with this message."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """The answer to an HTTP request."""

    status: int
    headers: dict[str, str]
    body: bytes = b""


class WarehouseService:
    """
    Answers the requests of databricks-sql-connector to one SQL warehouse.

    :param token: the bearer token, or a function that returns it.
    :param on_statement: called with the exact text of each statement, in the thread that called `handle`, before the statement is
        executed. It may raise `StatementFault`.
    :param session_idle_seconds: a session without a request for this long is dropped.
    """

    def __init__(
        self,
        engine: Engine,
        token: Callable[[], str] | str,
        on_statement: Callable[[str], None],
        *,
        session_idle_seconds: float = SESSION_IDLE_SECONDS,
    ) -> None:
        self._token = token
        self._protocol = _Protocol(engine, on_statement, session_idle_seconds)
        self._processor = TCLIService.Processor(self._protocol)

    def handle(self, body: bytes, authorization: str | None) -> HttpAnswer:
        """
        Answer one POST. Many threads may call this. It may take seconds, because it waits for a statement.

        :param authorization: the value of the header.
        """
        token = self._token if isinstance(self._token, str) else self._token()
        if authorization is None:
            return _refusal(
                401, "x-databricks-reason-phrase", "Credential was not sent or was of an unsupported type for this API."
            )
        if not hmac.compare_digest(authorization.encode(), f"Bearer {token}".encode()):
            return _refusal(403, "x-databricks-reason-phrase", "Invalid access token.")
        answer = TMemoryBuffer()
        try:
            self._processor.process(TBinaryProtocol(TMemoryBuffer(body)), TBinaryProtocol(answer))
        except _BadRequest as error:
            return _refusal(400, "x-thriftserver-error-message", f"BAD_REQUEST: {error.message}")
        except Exception as error:  # the message could not be read
            logger.warning("The warehouse received a message that is not Thrift: %r", error)
            return _refusal(400, "x-thriftserver-error-message", "BAD_REQUEST: not a Thrift message.")
        return HttpAnswer(200, {"Content-Type": "application/x-thrift"}, answer.getvalue())

    def drop_sessions(self) -> int:
        """Stop every running statement and drop every session.

        :returns: how many there were.
        """
        return self._protocol.drop_sessions()

    def close(self) -> None:
        """Stop every running statement and drop every session. The engine stays open."""
        self._protocol.close()


class _BadRequest(TTransportException):
    """Answered as HTTP 400. The generated processor lets only this type of error through."""


class _InvalidHandle(Exception):  # noqa: N818
    pass


@dataclass(slots=True)
class _Operation:
    """A statement that was sent, and the number of its rows that were read."""

    statement: Statement
    future: "Future[Result]"
    lock: threading.Lock = field(default_factory=threading.Lock)
    rows_sent: int = 0
    ahead: pa.RecordBatch | None = None

    def status(self) -> thrift.TGetOperationStatusResp:
        """The fields that the connector reads. `numModifiedRows` is the cursor's `rowcount`."""
        states = thrift.TOperationState
        if not self.future.done():
            return thrift.TGetOperationStatusResp(status=OK, operationState=states.RUNNING_STATE)
        try:
            result = self.future.result()
        except (CancelledError, StatementCanceled):
            return thrift.TGetOperationStatusResp(status=OK, operationState=states.CANCELED_STATE)
        except Exception as error:
            if not isinstance(error, StatementError | StatementFault):
                logger.exception("A statement broke the sandbox: %s", self.statement.text)
            message = str(error) or type(error).__name__
            return thrift.TGetOperationStatusResp(
                status=OK,
                operationState=states.ERROR_STATE,
                sqlState=error.sql_state if isinstance(error, StatementError) else "XX000",
                errorMessage=message,
                displayMessage=message,
                diagnosticInfo=f"org.apache.hive.service.cli.HiveSQLException: Error running query: {message}",
            )
        return thrift.TGetOperationStatusResp(status=OK, operationState=states.FINISHED_STATE, numModifiedRows=result.modified)

    def metadata(self) -> thrift.TGetResultSetMetadataResp:
        schema = self.future.result().schema
        return thrift.TGetResultSetMetadataResp(
            status=OK,
            schema=thrift.TTableSchema([_column(column, position) for position, column in enumerate(schema, start=1)]),
            resultFormat=thrift.TSparkRowSetType.ARROW_BASED_SET,
            lz4Compressed=False,
            arrowSchema=schema.serialize().to_pybytes(),
        )

    def fetch(self, max_rows: int, max_bytes: int | None) -> thrift.TFetchResultsResp:
        """The next rows, as Arrow batches without a schema: at most `max_rows`, and no further batch after `max_bytes`."""
        batches: list[thrift.TSparkArrowBatch] = []
        first, rows, size = self.rows_sent, 0, 0
        try:
            while rows < max_rows and not (max_bytes and size >= max_bytes) and (batch := self._next()) is not None:
                if batch.num_rows > max_rows - rows:
                    self.ahead = batch.slice(max_rows - rows)
                    batch = batch.slice(0, max_rows - rows)
                data = batch.serialize().to_pybytes()
                batches.append(thrift.TSparkArrowBatch(data, batch.num_rows))
                rows, size = rows + batch.num_rows, size + len(data)
            self.ahead = self._next()
        except Exception as error:
            return thrift.TFetchResultsResp(status=_error(f"[SANDBOX_ENGINE_ERROR] {error}"))
        self.rows_sent += rows
        return thrift.TFetchResultsResp(
            status=OK,
            hasMoreRows=self.ahead is not None,
            results=thrift.TRowSet(startRowOffset=first, rows=[], arrowBatches=batches),
        )

    def _next(self) -> pa.RecordBatch | None:
        if self.ahead is None:
            return next((batch for batch in self.future.result().batches if batch.num_rows), None)
        batch, self.ahead = self.ahead, None
        return batch

    def close(self) -> None:
        if not self.future.done():
            self.future.cancel()
            self.statement.cancel()
        with self.lock:
            wait([self.future])
            self.statement.close()


@dataclass(slots=True)
class _Session:
    namespace: Namespace
    heard_at: float
    operations: dict[bytes, _Operation] = field(default_factory=dict)

    def close(self) -> None:
        for operation in list(self.operations.values()):
            operation.close()


class _Protocol(TCLIService.Iface):
    """The methods of TCLIService that the connector calls."""

    def __init__(self, engine: Engine, on_statement: Callable[[str], None], session_idle_seconds: float) -> None:
        self._engine = engine
        self._on_statement = on_statement
        self._session_idle_seconds = session_idle_seconds
        self._sessions: dict[bytes, _Session] = {}
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(STATEMENTS_AT_ONCE, "statement")

    def drop_sessions(self) -> int:
        with self._lock:
            sessions = list(self._sessions.values())
            self._sessions.clear()
        for session in sessions:
            session.close()
        return len(sessions)

    def close(self) -> None:
        self.drop_sessions()
        self._threads.shutdown()

    def OpenSession(self, req: thrift.TOpenSessionReq) -> thrift.TOpenSessionResp:
        self._drop_idle()
        namespace = Namespace()
        if wanted := req.initialNamespace:
            namespace.catalog = wanted.catalogName or namespace.catalog
            namespace.schema = wanted.schemaName or namespace.schema
        # The names of settings are compared without regard to case. Unknown settings have no effect.
        configuration = {name.upper(): value for name, value in (req.configuration or {}).items()}
        for name in ("SPARK.SQL.SESSION.TIMEZONE", "TIMEZONE"):
            namespace.time_zone = configuration.get(name, namespace.time_zone)
        try:
            with self._engine.cursor() as cursor:
                namespace.prepare(cursor)
        except StatementError as error:
            return thrift.TOpenSessionResp(status=_error(str(error), error.sql_state), serverProtocolVersion=PROTOCOL)
        guid = uuid.uuid4().bytes
        with self._lock:
            self._sessions[guid] = _Session(namespace, time.monotonic())
        return thrift.TOpenSessionResp(
            status=OK,
            serverProtocolVersion=PROTOCOL,
            canUseMultipleCatalogs=True,
            initialNamespace=thrift.TNamespace(namespace.catalog, namespace.schema),
            sessionHandle=thrift.TSessionHandle(thrift.THandleIdentifier(guid, uuid.uuid4().bytes), PROTOCOL),
        )

    def CloseSession(self, req: thrift.TCloseSessionReq) -> thrift.TCloseSessionResp:
        with self._lock:
            session = self._sessions.pop(req.sessionHandle.sessionId.guid, None)
        if session is None:
            return thrift.TCloseSessionResp(_no_session(req.sessionHandle))
        session.close()
        return thrift.TCloseSessionResp(OK)

    def ExecuteStatement(self, req: thrift.TExecuteStatementReq) -> thrift.TExecuteStatementResp:
        with self._lock:
            session = self._sessions.get(req.sessionHandle.sessionId.guid)
        if session is None:
            return thrift.TExecuteStatementResp(_no_session(req.sessionHandle))
        session.heard_at = time.monotonic()
        parameters = [Parameter(each.name, each.type, each.value and each.value.stringValue) for each in req.parameters or ()]
        if len(parameters) > MAX_PARAMETERS:
            raise _BadRequest(
                message=f"Parameterized query has too many parameters: {len(parameters)} parameters were given but the limit is "
                f"{MAX_PARAMETERS}."
            )
        statement = Statement(self._engine, session.namespace, req.statement, parameters)
        operation = _Operation(statement, self._start(statement))
        guid = uuid.uuid4().bytes
        handle = thrift.TOperationHandle(
            thrift.THandleIdentifier(guid, uuid.uuid4().bytes), thrift.TOperationType.EXECUTE_STATEMENT, hasResultSet=True
        )
        with self._lock:
            session.operations[guid] = operation
        direct = req.getDirectResults
        if not direct:
            return thrift.TExecuteStatementResp(OK, handle)
        wait([operation.future], ANSWER_WITHIN)
        answer = thrift.TSparkDirectResults(operationStatus=operation.status())
        if answer.operationStatus.operationState == thrift.TOperationState.FINISHED_STATE:
            answer.resultSetMetadata = operation.metadata()
            answer.resultSet = operation.fetch(direct.maxRows, direct.maxBytes)
        # The answer is complete, so the operation is closed. The answer says so, and the client does not close it again.
        ended = answer.operationStatus.operationState != thrift.TOperationState.RUNNING_STATE
        if ended and not (answer.resultSet and answer.resultSet.hasMoreRows):
            self._forget(guid)
            answer.closeOperation = thrift.TCloseOperationResp(OK)
        return thrift.TExecuteStatementResp(OK, handle, directResults=answer)

    def GetOperationStatus(self, req: thrift.TGetOperationStatusReq) -> thrift.TGetOperationStatusResp:
        try:
            operation = self._operation(req.operationHandle)
        except _InvalidHandle as error:
            return thrift.TGetOperationStatusResp(status=_error(str(error)))
        wait([operation.future], HOLD_STATUS)
        return operation.status()

    def GetResultSetMetadata(self, req: thrift.TGetResultSetMetadataReq) -> thrift.TGetResultSetMetadataResp:
        try:
            return self._operation(req.operationHandle).metadata()
        except (_InvalidHandle, StatementError) as error:
            return thrift.TGetResultSetMetadataResp(status=_error(str(error)))

    def FetchResults(self, req: thrift.TFetchResultsReq) -> thrift.TFetchResultsResp:
        try:
            operation = self._operation(req.operationHandle)
            with operation.lock:
                answer = operation.fetch(req.maxRows, req.maxBytes)
                if req.includeResultSetMetadata:
                    answer.resultSetMetadata = operation.metadata()
        except (_InvalidHandle, StatementError) as error:
            return thrift.TFetchResultsResp(status=_error(str(error)))
        return answer

    def CancelOperation(self, req: thrift.TCancelOperationReq) -> thrift.TCancelOperationResp:
        try:
            operation = self._operation(req.operationHandle)
        except _InvalidHandle as error:
            return thrift.TCancelOperationResp(_error(str(error)))
        operation.future.cancel()
        operation.statement.cancel()
        return thrift.TCancelOperationResp(OK)

    def CloseOperation(self, req: thrift.TCloseOperationReq) -> thrift.TCloseOperationResp:
        try:
            self._operation(req.operationHandle)
        except _InvalidHandle as error:
            return thrift.TCloseOperationResp(_error(str(error)))
        self._forget(req.operationHandle.operationId.guid)
        return thrift.TCloseOperationResp(OK)

    def _start(self, statement: Statement) -> "Future[Result]":
        try:
            self._on_statement(statement.text)
        except StatementFault as fault:
            failed: Future[Result] = Future()
            failed.set_exception(fault)
            return failed
        return self._threads.submit(statement.run)

    def _operation(self, handle: thrift.TOperationHandle) -> _Operation:
        with self._lock:
            for session in self._sessions.values():
                if operation := session.operations.get(handle.operationId.guid):
                    session.heard_at = time.monotonic()
                    return operation
        identifier = uuid.UUID(bytes=handle.operationId.guid)
        raise _InvalidHandle(
            f"Invalid OperationHandle: OperationHandle [opType=EXECUTE_STATEMENT, getHandleIdentifier()={identifier}]"
        )

    def _forget(self, guid: bytes) -> None:
        with self._lock:
            found = [operation for session in self._sessions.values() if (operation := session.operations.pop(guid, None))]
        for operation in found:
            operation.close()

    def _drop_idle(self) -> None:
        """Drop sessions whose clients vanished without closing them. A session with a running statement is not idle."""
        before = time.monotonic() - self._session_idle_seconds
        with self._lock:
            idle = {
                guid: session
                for guid, session in self._sessions.items()
                if session.heard_at < before and all(operation.future.done() for operation in session.operations.values())
            }
            for guid in idle:
                del self._sessions[guid]
        for session in idle.values():
            session.close()


def _column(column: pa.Field, position: int) -> thrift.TColumnDesc:
    kinds, qualifiers = thrift.TTypeId, None
    if pa.types.is_decimal(column.type):
        value = thrift.TTypeQualifierValue
        qualifiers = thrift.TTypeQualifiers(
            {"precision": value(i32Value=column.type.precision), "scale": value(i32Value=column.type.scale)}
        )
    kind = next(
        (
            kind
            for is_kind, kind in (
                (pa.types.is_boolean, kinds.BOOLEAN_TYPE),
                (pa.types.is_int8, kinds.TINYINT_TYPE),
                (pa.types.is_int16, kinds.SMALLINT_TYPE),
                (pa.types.is_int32, kinds.INT_TYPE),
                (pa.types.is_int64, kinds.BIGINT_TYPE),
                (pa.types.is_float32, kinds.FLOAT_TYPE),
                (pa.types.is_float64, kinds.DOUBLE_TYPE),
                (pa.types.is_decimal, kinds.DECIMAL_TYPE),
                (pa.types.is_date, kinds.DATE_TYPE),
                (pa.types.is_timestamp, kinds.TIMESTAMP_TYPE),
                (pa.types.is_binary, kinds.BINARY_TYPE),
                (pa.types.is_null, kinds.NULL_TYPE),
                (pa.types.is_map, kinds.MAP_TYPE),
                (pa.types.is_struct, kinds.STRUCT_TYPE),
                (pa.types.is_nested, kinds.ARRAY_TYPE),
            )
            if is_kind(column.type)
        ),
        kinds.STRING_TYPE,
    )
    entry = thrift.TTypeEntry(primitiveEntry=thrift.TPrimitiveTypeEntry(kind, qualifiers))
    return thrift.TColumnDesc(column.name, thrift.TTypeDesc([entry]), position)


def _refusal(status: int, header: str, message: str) -> HttpAnswer:
    return HttpAnswer(status, {header: message})


def _error(message: str, sql_state: str = "HY000") -> thrift.TStatus:
    return thrift.TStatus(thrift.TStatusCode.ERROR_STATUS, errorMessage=message, sqlState=sql_state)


def _no_session(handle: thrift.TSessionHandle) -> thrift.TStatus:
    """The connector looks for these first words. The rest: https://github.com/databricks/databricks-sql-python/issues/400."""
    return _error(f"Invalid SessionHandle: SessionHandle [{uuid.UUID(bytes=handle.sessionId.guid)}]")
