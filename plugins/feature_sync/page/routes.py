"""The page's routes in Airflow's API server. All but the pool's ask Airflow who may read the DAG."""

import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from airflow.utils.session import create_session
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse

from feature_sync.config.addresses import census_run_url
from feature_sync.config.fields import FieldTableError
from feature_sync.config.names import BACKFILL_DAG_ID, DAG_IDS, RECONCILIATION_DAG_ID
from feature_sync.config.problems import ProblemsError
from feature_sync.config.settings import BadSettingsError, load_settings
from feature_sync.page.airflow_tables import read_run, read_runs
from feature_sync.page.files import FILES, MAX_BYTES, list_files, path_of
from feature_sync.page.pool_route import pool
from feature_sync.page.progress import progress_of
from feature_sync.page.summary import summary_of
from feature_sync.storage.warehouse import StatementError
from feature_sync.story.records import UnknownRecordError, tell_story

log = logging.getLogger(__name__)

ASSETS = Path(__file__).with_name("assets")
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'"
)
FILE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
"""A file of a run may show itself and do nothing else. Its values come from the warehouse."""
HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cache-Control": "no-store"}
CHUNK = 256 * 1024
_one_story_at_a_time = threading.Semaphore(1)
"""A search asks the warehouse, so people who search take turns."""

app = FastAPI(title="Salesforce feature sync", docs_url=None, redoc_url=None, openapi_url=None)
app.get("/pool")(pool)

MAY_READ = Depends(requires_access_dag("GET", DagAccessEntity.RUN))
MAY_READ_BACKFILL = Depends(requires_access_dag("GET", DagAccessEntity.RUN, BACKFILL_DAG_ID))
DagId = Annotated[str, Query(max_length=250)]
RunId = Annotated[str, Query(max_length=250)]


@app.middleware("http")
async def add_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """No answer is stored, guessed at, or framed by others, an error's neither."""
    response = await call_next(request)
    for name, value in {**HEADERS, "Content-Security-Policy": PAGE_POLICY}.items():
        response.headers.setdefault(name, value)
    return response


@app.get("/")
def overview(user: GetUserDep) -> Response:  # noqa: ARG001 - the dependency asks for a login
    """The page: former runs, accuracy over time, and one record's story."""
    return FileResponse(ASSETS / "overview.html")


@app.get("/run", dependencies=[MAY_READ])
def run_page(dag_id: DagId, run_id: RunId) -> Response:  # noqa: ARG001 - the page's script reads them from its address
    """The page of one run."""
    return FileResponse(ASSETS / "run.html")


@app.get("/assets/{name}")
def asset(name: str, user: GetUserDep) -> Response:  # noqa: ARG001
    """The pages' style and scripts."""
    if name not in {path.name for path in ASSETS.iterdir() if path.suffix in (".css", ".js")}:
        raise HTTPException(404, "There is no such file.")
    return FileResponse(ASSETS / name)


@app.get("/api/runs")
def runs(user: GetUserDep) -> JSONResponse:
    """The newest runs of those of our DAGs that the user may read."""
    manager = get_auth_manager()
    allowed = [
        dag_id
        for dag_id in sorted(DAG_IDS)
        if manager.is_authorized_dag(method="GET", access_entity=DagAccessEntity.RUN, details=DagDetails(id=dag_id), user=user)
    ]
    if not allowed:
        raise HTTPException(403, "Forbidden")
    with create_session() as session:
        found = [summary_of(run) for run in read_runs(session, allowed)]
    return JSONResponse({"runs": found, "weekly_dag_id": RECONCILIATION_DAG_ID})


@app.get("/api/run", dependencies=[MAY_READ])
def run(dag_id: DagId, run_id: RunId) -> JSONResponse:
    """All that the page of a run shows, but for its files. It asks Airflow's database, and never the warehouse."""
    with create_session() as session:
        found = read_run(session, _ours(dag_id), run_id)
    if found is None:
        raise HTTPException(404, f"{dag_id} has no run {run_id}.")
    settings = load_settings()
    return JSONResponse(progress_of(found, partial(census_run_url, settings.census_run_url, settings.census_sync_id)))


@app.get("/api/files", dependencies=[MAY_READ])
def files(dag_id: DagId, run_id: RunId) -> JSONResponse:
    """The files that a run has written."""
    settings = load_settings()
    try:
        names = list_files(settings, _ours(dag_id), run_id)
    except Exception as error:  # each storage has errors of its own
        log.warning("The files of %s cannot be listed: %s: %s", run_id, type(error).__name__, error)
        return JSONResponse({"files": [], "problem": f"The API server cannot list the files ({type(error).__name__})."})
    return JSONResponse({"files": [{"name": name, "what": FILES[name].what} for name in names], "problem": None})


@app.get("/file", dependencies=[MAY_READ])
def file(dag_id: DagId, run_id: RunId, name: Annotated[str, Query(max_length=100)]) -> Response:
    """One file of a run."""
    try:
        path = path_of(load_settings(), _ours(dag_id), run_id, name)
    except KeyError:
        raise HTTPException(404, "There is no such file.") from None
    try:
        size = path.fs.size(path.path)
        opened = path.fs.open(path.path, "rb")
    except FileNotFoundError:
        raise HTTPException(404, f"The API server does not see {name}: the run has not written it, or on another disk.") from None
    if size is not None and size > MAX_BYTES:
        opened.close()
        raise HTTPException(413, f"{name} has {size:,} bytes, too many to send from here.")
    kind = FILES[name]
    disposition = "inline" if kind.is_shown else f'attachment; filename="{name}"'
    headers = {"Content-Disposition": disposition, "Content-Security-Policy": FILE_POLICY}
    return StreamingResponse(_chunks(opened), media_type=kind.media_type, headers=headers)


@app.get("/api/story", dependencies=[MAY_READ_BACKFILL])
def story(of: Annotated[str, Query(max_length=300)]) -> JSONResponse:
    """What happened to one record. It asks the warehouse, so only a person's search calls it, and one at a time."""
    if not _one_story_at_a_time.acquire(timeout=1):
        raise HTTPException(429, "Somebody else's search is going on. Try again in some seconds.")
    try:
        return JSONResponse({"story": str(tell_story(of))})
    except UnknownRecordError as unknown:
        raise HTTPException(404, str(unknown)) from None
    except (StatementError, ProblemsError, BadSettingsError, FieldTableError) as problem:
        raise HTTPException(503, str(problem)) from None
    finally:
        _one_story_at_a_time.release()


def _ours(dag_id: str) -> str:
    if dag_id not in DAG_IDS:
        raise HTTPException(404, "This page shows only the runs of Salesforce feature sync.")
    return dag_id


def _chunks(opened: Any) -> Iterator[bytes]:
    with opened:
        while chunk := opened.read(CHUNK):
            yield chunk
