"""What a person sees and clicks, in a real browser: `make setup-browser` installs one, and without it these tests are skipped."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live.runs import DAG_ID, LiveAirflow, LiveRun, eventually, incident_ids

playwright = pytest.importorskip("playwright.sync_api", reason="`make setup-browser` installs Playwright")
CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
PICTURES = Path(__file__).resolve().parents[2] / "output" / "pictures"
"""Pictures of each step. Those in docs/pictures are copies: form, and failed as progress."""
SECONDS = 1000  # Playwright counts in milliseconds
playwright.expect.set_options(timeout=60 * SECONDS)

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(900),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium; `make setup-browser` installs one"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        # A container has no user but root, and Chromium's own sandbox refuses root.
        running = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def page(browser: Any, live: LiveAirflow) -> Iterator[Any]:
    """A page of a person who has logged in by Airflow's form. A script that fails, fails the test."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(60 * SECONDS)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(live.stack.airflow.url)
    page.fill("input[name=username]", "admin")
    page.fill("input[name=password]", live.stack.password)
    page.click("button[type=submit]")
    page.wait_for_url(re.compile(r"/$|/home"))
    yield page
    context.close()
    assert errors == []


def shoot(page: Any, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png")


def trigger_by_form(page: Any, live: LiveAirflow, ids: list[str], batch_size: int) -> LiveRun:
    """Fill in the form as a person does, and press Trigger."""
    before = {run.run_id for run in live.stack.airflow.dag_runs(DAG_ID)}
    journal = live.stack.sandbox.journal()
    page.goto(f"{live.stack.airflow.url}/dags/{DAG_ID}")
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    form.locator("textarea[name=element_property_ids]").fill("\n".join(ids))
    scope = form.get_by_role("combobox").first
    scope.fill("property_ids")
    scope.press("Enter")
    shoot(page, "form")
    form.locator("label", has=page.locator("input[name=element_dry_run]")).click()
    form.get_by_role("button", name="Pace and strategy").click()
    size = form.get_by_role("spinbutton").first
    size.fill(str(batch_size))
    pause = form.get_by_role("spinbutton").nth(1)
    pause.fill("1")
    pause.press("Tab")
    form.get_by_role("button", name="Trigger", exact=True).click()
    [run_id] = eventually(lambda: {run.run_id for run in live.stack.airflow.dag_runs(DAG_ID)} - before, 60)
    return LiveRun(live, run_id, journal[-1]["seq"] if journal else 0)


def open_progress(page: Any, live: LiveAirflow, run: LiveRun) -> Any:
    """Open the tab of the run. :returns: our page inside Airflow's."""
    page.goto(f"{live.stack.airflow.url}/dags/{DAG_ID}/runs/{run.run_id}")
    page.get_by_role("link", name="Progress", exact=True).click()
    return page.frame_locator("iframe[title=Progress]")


def test_a_failed_batch_is_found_and_cleared_as_the_docs_say_and_heals(live: LiveAirflow, page: Any) -> None:
    live.stack.sandbox.faults.add("run", "reject_rows", count=1, message="FIELD_CUSTOM_VALIDATION_EXCEPTION: no", times=1)
    run = trigger_by_form(page, live, incident_ids(1000, 6), 3)
    seen = open_progress(page, live, run)

    # The page moves by itself.
    playwright.expect(seen.locator("#strip button")).to_have_count(2, timeout=240 * SECONDS)
    playwright.expect(seen.locator(".strip .is-rejected")).to_have_count(1, timeout=240 * SECONDS)
    playwright.expect(seen.locator(".strip .is-accepted")).to_have_count(1, timeout=240 * SECONDS)
    playwright.expect(seen.locator("#now .text")).to_contain_text("1 batch failed", timeout=240 * SECONDS)
    shoot(page, "failed")
    playwright.expect(seen.locator("#reasons tbody")).to_contain_text("FIELD_CUSTOM_VALIDATION_EXCEPTION: no")
    seen.locator(".strip .is-rejected").click()
    playwright.expect(seen.locator("#batch")).to_contain_text("1 of them not accepted")
    seen.get_by_role("link", name="its task and log").click()

    # Airflow's own page of that task, where the runbook says to clear it with its downstream tasks.
    page.wait_for_url(re.compile(r"/tasks/batch\.send/mapped/0"))
    playwright.expect(page.get_by_text("1 of 3 records").first).to_be_visible()
    shoot(page, "log")
    page.get_by_role("button", name="shift+c to clear").click()
    dialog = page.get_by_role("dialog")
    playwright.expect(dialog).to_contain_text("Affected Tasks: 4")  # as the log says
    shoot(page, "clear")
    dialog.get_by_role("button", name="Confirm").click()

    eventually(lambda: run.state == "success", 300)
    seen = open_progress(page, live, run)
    playwright.expect(seen.locator(".strip .is-accepted")).to_have_count(2)
    playwright.expect(seen.locator("#now .text")).to_have_text("0 properties with mismatched feature data.")
    shoot(page, "healed")


def test_a_question_is_answered_from_its_link(live: LiveAirflow, page: Any) -> None:
    run = live.trigger_ids(incident_ids(1010, 2), strategy="full", wait_seconds=1)
    run.question("confirm_flow_off")
    live.settings(flow_enabled=False)
    seen = open_progress(page, live, run)

    link = seen.locator("#questions a")
    playwright.expect(link).to_have_count(1)
    shoot(page, "question")
    link.click()
    page.wait_for_url(re.compile(r"/required_actions"))
    page.get_by_role("button", name="Approve").first.click()

    run.question("confirm_flow_on")
    live.settings(flow_enabled=True)
    run.answer("confirm_flow_on", "Approve")
    assert run.wait() == "success"
