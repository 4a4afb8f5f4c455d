"""The page over HTTP: who may see it, what it may do in a browser, what it says, how fast it says it."""

import re
from pathlib import Path
from typing import Any

import pytest

from feature_sync.config.names import BACKFILL_DAG_ID
from feature_sync.config.settings import load_settings
from feature_sync.page.routes import app
from feature_sync.storage.run_files import run_files
from tests.wire.page.airflow import ADMIN, READER, STRANGER, ApiServer, Row, large_run, planned

HOSTILE = "<script>alert('a')</script>\"'&\u202e=1+1"
RUN_ID = "manual__2025-11-21T12:00:00+00:00"
OPEN = {"/pool"}
"""What needs no login: tasks ask it, and they have none."""
RUN = {"dag_id": BACKFILL_DAG_ID, "run_id": RUN_ID}
PARAMETERS = {
    "/": {},
    "/run": RUN,
    "/assets/{name}": {},
    "/api/runs": {},
    "/api/run": RUN,
    "/api/files": RUN,
    "/file": {**RUN, "name": "validation.json"},
    "/api/story": {"of": "Elm Court"},
}


def routes() -> list[str]:
    return [route.path for route in app.routes]  # type: ignore[attr-defined]


def path_of(route: str) -> str:
    return route.replace("{name}", "page.css")


@pytest.fixture(scope="module")
def airflow(airflow: ApiServer) -> ApiServer:
    """The server with a run of which one batch is rejected, one is being sent and one waits."""
    rejected = {"status": "failed", "reason": f"3 rejected: {HOSTILE}", "rejected": 3, "sync_run_id": 28}
    rejected["reasons"] = [{"reason": HOSTILE, "records": 3, "keys": ["228461", "124482"]}]
    run = Row(BACKFILL_DAG_ID, RUN_ID, conf={"wait_seconds": 60, "property_ids": [HOSTILE]})
    products = [{"product": "fraud", "label": HOSTILE, "now": 0, "after": 5}]
    run.task("check_payload", "success", return_value={"records": 150, "products": products})
    run.task("plan_batches", "success", return_value=planned(3))
    run.task("batch.send", "failed", 0, 1, outcome=rejected, sent={"sync_run_id": 28})
    run.task("batch.send", "deferred", 1, 3, sent={"sync_run_id": 29})
    run.task("batch.send", None, 2)
    run.task("confirm_flow_on", "deferred", minute=4).question(f"Is the Flow on? {HOSTILE}")
    airflow.insert(run)
    return airflow


def test_every_route_is_tried_below() -> None:
    assert set(routes()) == {*PARAMETERS, *OPEN}


@pytest.mark.parametrize("route", PARAMETERS)
class TestWhoMayRead:
    def test_a_stranger_may_not(self, airflow: ApiServer, route: str) -> None:
        assert airflow.get(path_of(route), None, **PARAMETERS[route]).status_code == 401

    def test_a_user_without_the_right_to_read_the_dag_learns_nothing_of_it(self, airflow: ApiServer, route: str) -> None:
        answer = airflow.get(path_of(route), STRANGER, **PARAMETERS[route])

        # The empty pages themselves hold nothing; all that they show comes from the routes below /api.
        assert answer.status_code == (200 if route in ("/", "/assets/{name}") else 403)

    @pytest.mark.parametrize("user", [READER, ADMIN])
    def test_a_token_that_has_expired_opens_nothing(self, airflow: ApiServer, route: str, user: str) -> None:
        expired = airflow.expired(airflow.token(user))

        assert airflow.get(path_of(route), token=expired, **PARAMETERS[route]).status_code == 401

    def test_a_reader_may(self, airflow: ApiServer, route: str) -> None:
        answer = airflow.get(path_of(route), READER, **PARAMETERS[route])

        # Nobody has written the file, and there is no warehouse to tell a story.
        assert answer.status_code == {"/file": 404, "/api/story": 503}.get(route, 200), answer.text


class TestWhatABrowserIsTold:
    @pytest.mark.parametrize("route", PARAMETERS)
    def test_no_page_may_load_or_run_what_is_not_ours(self, airflow: ApiServer, route: str) -> None:
        headers = airflow.get(path_of(route), READER, **PARAMETERS[route]).headers

        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"

    def test_the_pages_name_no_other_host_and_hold_no_script(self) -> None:
        assets = [path for path in Path(str(app_folder())).iterdir() if path.suffix in (".html", ".css", ".js")]

        for path in assets:
            text = path.read_text()
            assert re.findall(r"https?://", text) == []
            assert "innerHTML" not in text
            assert re.findall(r"<script(?![^>]*src=)|\son\w+=|\sstyle=", text) == []

    def test_a_file_of_a_run_may_do_nothing_in_a_browser(self, airflow: ApiServer) -> None:
        file = airflow.output / Path(run_files(load_settings(), RUN_ID).folder.path).name / "report.html"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"<p>{HOSTILE}")

        answer = airflow.get("/file", READER, **RUN, name="report.html")
        file.unlink()

        assert answer.status_code == 200
        assert answer.headers["Content-Security-Policy"].startswith(
            "default-src 'none'; style-src 'unsafe-inline'; img-src data:;"
        )

    @pytest.mark.parametrize("name", ["../secrets.json", "..%2fpasswords.json", "/etc/passwd", "", "report.html/"])
    def test_no_name_leads_out_of_the_folder(self, airflow: ApiServer, name: str) -> None:
        (airflow.output / "secrets.json").parent.mkdir(parents=True, exist_ok=True)
        (airflow.output / "secrets.json").write_text("secret")

        answer = airflow.get("/file", READER, **RUN, name=name)

        assert answer.status_code == 404
        assert "secret" not in answer.text

    def test_a_dag_of_another_team_is_not_shown(self, airflow: ApiServer) -> None:
        assert airflow.get("/api/run", ADMIN, dag_id="payroll", run_id=RUN_ID).status_code == 404


class TestWhatItSays:
    def test_a_run_that_goes_on(self, airflow: ApiServer) -> None:
        answer = airflow.get("/api/run", READER, **RUN).json()

        assert answer["now"]["kind"] == "asks"
        assert answer["now"]["text"] == f"A question waits for an answer: Is the Flow on? {HOSTILE}"
        assert [batch["state"] for batch in answer["batches"]] == ["rejected", "sending", "waiting"]
        assert answer["counts"] == {"accepted": 0, "sending": 1, "waiting": 1, "rejected": 1, "failed": 0, "held back": 0}
        assert answer["records"] == {"records": 150, "accepted": 47, "rejected": 3, "unknown": 0, "left": 100}
        assert answer["reasons"] == [{"reason": HOSTILE, "records": 3, "keys": ["228461", "124482"], "batches": [1]}]
        assert answer["products"] == [{"label": HOSTILE, "before": 0, "now": None, "should_be": 5}]
        assert "the plan left no note" in answer["products_note"]
        assert answer["batches"][1]["census_run"] == 29
        assert answer["run"]["started_by"] == "Lee"

    def test_now_moves_with_each_batch_that_was_accepted_whole(self, airflow: ApiServer) -> None:
        def outcome(status: str, rejected: int) -> dict[str, Any]:
            return {"status": status, "reason": "", "rejected": rejected, "reasons": [], "sync_run_id": 5}

        products = [{"product": "fraud", "label": HOSTILE, "now": 10, "after": 23}]
        changes = {"products": ["fraud"], "batches": [[1, 7], [2, 5], [3, -2], [4, 3]]}
        run = Row(BACKFILL_DAG_ID, "manual__moves")
        run.task("check_payload", "success", return_value={"records": 200, "products": products})
        run.task("plan_batches", "success", return_value=planned(4), changes=changes)
        run.task("batch.send", "success", 0, 1, outcome=outcome("succeeded", 0))
        run.task("batch.send", "failed", 1, 2, outcome=outcome("failed", 3))
        run.task("batch.send", "success", 2, 3, outcome=outcome("succeeded", 0))
        run.task("batch.send", "deferred", 3, 4, sent={"sync_run_id": 29})
        airflow.insert(run)

        answer = airflow.get("/api/run", READER, dag_id=BACKFILL_DAG_ID, run_id="manual__moves").json()

        assert answer["products"] == [{"label": HOSTILE, "before": 10, "now": 15, "should_be": 23}]
        assert answer["products_note"] == (
            "Now: by what Salesforce has accepted. 1 batch with rejected records is not counted yet. "
            "The verdict looks for itself."
        )

    def test_a_run_that_nobody_knows(self, airflow: ApiServer) -> None:
        answer = airflow.get("/api/run", READER, dag_id=BACKFILL_DAG_ID, run_id="manual__never")

        assert (answer.status_code, answer.json()["detail"]) == (404, f"{BACKFILL_DAG_ID} has no run manual__never.")

    def test_former_runs(self, airflow: ApiServer) -> None:
        found = {"result": "0 properties with mismatched feature data", "properties_checked": 3, "properties_mismatched": 0}
        airflow.insert(Row(BACKFILL_DAG_ID, "manual__over", "success").task("validate", "success", found=found))

        answer = airflow.get("/api/runs", READER).json()

        [over] = [run for run in answer["runs"] if run["run_id"] == "manual__over"]
        assert (over["result"], over["accuracy"]) == ("0 properties with mismatched feature data", 1)

    def test_a_thousand_batches_cost_as_many_queries_as_three(self, airflow: ApiServer) -> None:
        airflow.insert(large_run("manual__large", 1000))

        answer = airflow.get("/api/run", dag_id=BACKFILL_DAG_ID, run_id="manual__large").json()

        assert answer["counts"]["accepted"] == 700
        assert [each["now"] for each in answer["products"]] == [7 + sum(number % 50 for number in range(1, 701))] * 7
        assert airflow.queries_of(BACKFILL_DAG_ID, "manual__large") == airflow.queries_of(**RUN) == 5


def app_folder() -> Path:
    from feature_sync.page import routes as module  # noqa: PLC0415

    return module.ASSETS
