"""The Census management API, v1 and v2, over HTTP."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from sandbox.answers import JsonAnswer, Shapes, answer
from sandbox.census import rows, runs
from sandbox.census.engine import RunEngine
from sandbox.census.rows import RowRecords
from sandbox.census.runs import Runs, TriggerError
from sandbox.census.syncs import ChangeError, Syncs
from sandbox.faults import Faults
from sandbox.journal import CENSUS_REQUEST, Journal
from sandbox.settings import SettingsStore
from sandbox.tokens import CENSUS_WORKSPACE_KEY, bearer, census_token

DEFAULT_PAGE = 25
LARGEST_PAGE = 100


@dataclass(frozen=True, slots=True)
class Call:
    """One request, parsed."""

    version: str
    id: int
    query: Mapping[str, str]
    body: Any
    url: str


class ApiError(Exception):
    """An answer that is not a success."""

    def __init__(self, code: int, message: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def unauthorized() -> Response:
    """Census API: 401 is ``{"status": 401}``."""
    return JsonAnswer({"status": 401}, 401)


def failed(code: int, headers: Mapping[str, str]) -> Response:
    return JsonAnswer({"status": code}, code, headers)


def _problem(error: ApiError) -> Response:
    """Census API: 404 is ``{"status": 404}``, a refusal ``{"status": "error", "message": ...}``."""
    if error.message is None:
        return JsonAnswer({"status": error.code}, error.code)
    return JsonAnswer({"status": "error", "message": error.message}, error.code)


class CensusApi:
    """Routes and answers. `Runs`, `RunEngine`, `RowRecords` and `Syncs` do the work."""

    def __init__(
        self,
        *,
        journal: Journal,
        faults: Faults,
        settings: SettingsStore,
        syncs: Syncs,
        runs_: Runs,
        records: RowRecords,
        engine: RunEngine,
    ) -> None:
        self._journal = journal
        self._faults = faults
        self._settings = settings
        self._syncs = syncs
        self._runs = runs_
        self._records = records
        self._engine = engine
        self._routes: tuple[tuple[str, re.Pattern[str], str, Callable[[Call], Response]], ...] = tuple(
            (method, re.compile(pattern), name, handler)
            for method, pattern, name, handler in (
                ("GET", r"syncs", "list_syncs", self._list_syncs),
                ("GET", r"syncs/(\d+)", "fetch_sync", self._fetch_sync),
                ("PATCH", r"syncs/(\d+)", "patch_sync", self._patch_sync),
                ("POST", r"syncs/(\d+)/trigger", "trigger", self._trigger),
                ("GET", r"syncs/(\d+)/sync_runs", "list_runs", self._list_runs),
                ("GET", r"sync_runs/(\d+)", "fetch_run", self._fetch_run),
                ("POST", r"sync_runs/(\d+)/cancel", "cancel", self._cancel),
                ("GET", r"sync_runs/(\d+)/records", "records", self._list_records),
                ("GET", r"sync_runs/(\d+)/records_count", "records", self._count_records),
                ("GET", r"sync_runs/(\d+)/records_export", "records", self._export_records),
                ("GET", r"datasets", "list_datasets", self._list_datasets),
                ("GET", r"datasets/(\d+)", "fetch_dataset", self._fetch_dataset),
                ("PATCH", r"datasets/(\d+)", "patch_dataset", self._patch_dataset),
                ("GET", r"sources", "list_sources", self._list_sources),
                ("GET", r"destinations", "list_destinations", self._list_destinations),
            )
        )

    async def __call__(self, request: Request) -> Response:
        version, path = request.path_params["version"], request.path_params["path"]
        response, fault = await self._handle(request, version, path)
        query = f"?{request.url.query}" if request.url.query else ""
        self._journal.add(
            CENSUS_REQUEST,
            method=request.method,
            path=f"/api/{version}/{path}{query}",
            status=response.status_code or None,
            **({"fault": fault} if fault else {}),
        )
        return response

    async def _handle(self, request: Request, version: str, path: str) -> tuple[Response, str | None]:
        if version == "v1" and self._settings.current.census_v1_retired:
            return JsonAnswer({"status": 410}, 410), None
        if not _is_authorized(version, request.headers.get("authorization"), self._settings.current.census_token):
            return unauthorized(), None
        for method, pattern, name, handler in self._routes:
            matched = pattern.fullmatch(path)
            if matched is None or method != request.method:
                continue
            try:
                body = await request.json() if await request.body() else None
            except ValueError:
                return _problem(ApiError(400, "The body is not JSON.")), None
            number = int(matched.group(1)) if matched.groups() else 0
            call = Call(version, number, request.query_params, body, str(request.url.replace(query="")))

            def work(handler: Callable[[Call], Response] = handler, call: Call = call) -> Response:
                try:
                    return handler(call)
                except ApiError as error:
                    return _problem(error)

            return await answer(work, self._faults.take(name), Shapes(unauthorized, failed))
        return JsonAnswer({"status": 404}, 404), None

    def _trigger(self, call: Call) -> Response:
        """Census API: trigger sync. The query parameter is documented. The effect of a body is not."""
        sync = self._sync(call.id)
        force = call.query.get("force_full_sync", "").lower() == "true"
        if self._settings.current.census_body_force_full_sync and isinstance(call.body, dict):
            force = force or call.body.get("force_full_sync") is True
        try:
            run_id = self._runs.create(call.id, paused=sync["paused"], force_full_sync=force, ui_tag=runs.UI_TAG_API)
        except TriggerError as refused:
            raise ApiError(refused.code, str(refused)) from refused
        self._engine.wake()
        return JsonAnswer({"status": "success", "data": {"sync_run_id": run_id}})

    def _fetch_run(self, call: Call) -> Response:
        run = self._runs.get(call.id)
        if run is None:
            raise ApiError(404)
        return JsonAnswer({"status": "success", "data": self._present_run(run)})

    def _list_runs(self, call: Call) -> Response:
        """Census API: list sync runs. Newest first by default."""
        self._sync(call.id)
        order = call.query.get("order", "desc").lower()
        if order not in ("asc", "desc"):
            raise ApiError(400, "order must be asc or desc")
        page, size = _page(call)
        total, found = self._runs.page(call.id, descending=order == "desc", offset=(page - 1) * size, limit=size)
        return _paged(call, [self._present_run(run) for run in found], total)

    def _cancel(self, call: Call) -> Response:
        """Census API: cancel a sync run that is actively running. The answer for a run that has ended is not documented."""
        if self._runs.get(call.id) is None:
            raise ApiError(404)
        if not self._runs.cancel(call.id):
            raise ApiError(400, "The sync run is not running.")
        return JsonAnswer({"status": "cancelled", "data": {}})

    def _list_records(self, call: Call) -> Response:
        page, size = _page(call)
        total, found = self._read_records(call, offset=(page - 1) * size, limit=size)
        return _paged(call, [rows.present(record) for record in found], total)

    def _count_records(self, call: Call) -> Response:
        """Census API: fetch records count. ``data`` is an array."""
        total, _ = self._read_records(call, offset=0, limit=0)
        return JsonAnswer({"status": "success", "data": [{"record_count": total}]})

    def _export_records(self, call: Call) -> Response:
        """Census API: fetch records export. The files do not exist: the addresses lead nowhere."""
        run = self._runs.get(call.id)
        if run is None or run["dry_run"]:
            raise ApiError(404)
        if run["phase"] != "ended":
            raise ApiError(425, "Too Early - This sync run hasn't finished processing")
        return JsonAnswer({"status": "success", "urls": [f"{call.url}/part-00000.parquet"]})

    def _read_records(self, call: Call, *, offset: int, limit: int) -> tuple[int, list[Any]]:
        """Row records become visible a moment after the run's end. The delay is not documented. Dry runs have no row records."""
        run = self._runs.get(call.id)
        if run is None or run["dry_run"]:
            raise ApiError(404)
        status = call.query.get("status")
        if status not in (None, "succeeded", "rejected", "invalid"):
            raise ApiError(400, "status must be succeeded, rejected or invalid")
        visible = run["phase"] == "ended" and (run["records_due"] or 0) <= time.time()
        if not visible:
            return 0, []
        total, found = self._records.read(
            call.id,
            status=status,
            operation=call.query.get("operation"),
            identifier=call.query.get("primary_identifier"),
            offset=offset,
            limit=limit,
        )
        fault = runs.fault_of(run)
        if fault is not None and fault.name == "records_lost":
            total = max(0, total - (total if fault.parameters.count is None else fault.parameters.count))
        return total, found[: max(0, total - offset)]

    def _list_syncs(self, call: Call) -> Response:
        page, size = _page(call)
        ids = self._syncs.ids()
        shown = [self._syncs.present(sync_id, call.version) for sync_id in ids[(page - 1) * size : page * size]]
        return _paged(call, shown, len(ids))

    def _fetch_sync(self, call: Call) -> Response:
        sync = self._syncs.present(call.id, call.version)
        if sync is None:
            raise ApiError(404)
        return JsonAnswer({"status": "success", "data": sync})

    def _patch_sync(self, call: Call) -> Response:
        self._change(call, self._syncs.change)
        return JsonAnswer({"status": "updated", "data": self._syncs.present(call.id, call.version)})

    def _list_datasets(self, call: Call) -> Response:
        """Census API: list datasets. ``type`` selects."""
        page, size = _page(call)
        ids = self._syncs.dataset_ids(call.query.get("type"))
        shown = [self._syncs.present_dataset(dataset_id, call.version) for dataset_id in ids[(page - 1) * size : page * size]]
        return _paged(call, shown, len(ids))

    def _list_sources(self, call: Call) -> Response:
        return self._page_of(call, self._syncs.sources(call.version))

    def _list_destinations(self, call: Call) -> Response:
        return self._page_of(call, self._syncs.destinations(call.version))

    def _page_of(self, call: Call, everything: list[dict[str, Any]]) -> Response:
        page, size = _page(call)
        return _paged(call, everything[(page - 1) * size : page * size], len(everything))

    def _present_run(self, run: Any) -> dict[str, Any]:
        return runs.present(run, self._settings.current.census_updated_seconds)

    def _fetch_dataset(self, call: Call) -> Response:
        dataset = self._syncs.present_dataset(call.id, call.version)
        if dataset is None:
            raise ApiError(404)
        return JsonAnswer({"status": "success", "data": dataset})

    def _patch_dataset(self, call: Call) -> Response:
        self._change(call, self._syncs.change_dataset)
        return JsonAnswer({"status": "updated", "data": self._syncs.present_dataset(call.id, call.version)})

    def _change(self, call: Call, change: Callable[[int, Mapping[str, Any]], None]) -> None:
        if not isinstance(call.body, dict):
            raise ApiError(400, "The body must be a JSON object.")
        try:
            change(call.id, call.body)
        except KeyError as missing:
            raise ApiError(404) from missing
        except ChangeError as error:
            raise ApiError(400, str(error)) from error

    def _sync(self, sync_id: int) -> dict[str, Any]:
        sync = self._syncs.get(sync_id)
        if sync is None:
            raise ApiError(404)
        return sync


def _is_authorized(version: str, authorization: str | None, personal_token: str) -> bool:
    """Census API: authorization. v2 takes a personal access token. v1 takes the workspace's key, as bearer or basic."""
    if version == "v2":
        return bearer(authorization) == personal_token
    return version == "v1" and census_token(authorization) == CENSUS_WORKSPACE_KEY


def _page(call: Call) -> tuple[int, int]:
    """Census API: pagination. Page 0 is page 1. A page has 25 entries by default and at most 100; larger sizes are reduced."""
    try:
        page, size = int(call.query.get("page", 1)), int(call.query.get("per_page", DEFAULT_PAGE))
    except ValueError as error:
        raise ApiError(400, "page and per_page must be numbers") from error
    return max(page, 1), min(max(size, 1), LARGEST_PAGE)


def _paged(call: Call, data: list[Any], total: int) -> Response:
    page, size = _page(call)
    last = max(-(-total // size), 1)
    following = page + 1 if page < last else None
    others = "".join(f"&{name}={value}" for name, value in call.query.items() if name not in ("page", "per_page"))
    pagination = {
        "total_records": total,
        "per_page": size,
        "prev_page": page - 1 if page > 1 else None,
        "page": page,
        "next_page": following,
        "last_page": last,
    }
    following_url = f"{call.url}?page={following}&per_page={size}{others}" if following else None
    return JsonAnswer({"status": "success", "data": data, "pagination": pagination, "next": following_url})
