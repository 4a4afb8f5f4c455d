"""The code lies behind a link that moves to another checkout, as git-sync does it, and the former checkout is deleted."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from feature_sync.config.paths import find_project

PROJECT = Path(__file__).resolve().parents[3]
LOOK = """
import json, sys
sys.path.insert(0, sys.argv[1])
from feature_sync.config.settings import load_settings, reconciliation_schedule
from feature_sync.report.page import INCLUDE, templates
from feature_sync.storage.run_files import prove_output_writable
from feature_sync.storage.warehouse import columns_of, render_statement
for line in sys.stdin:
    settings = load_settings()
    prove_output_writable(settings)
    print("LOOK", json.dumps({
        "sql": render_statement("backfill/select_batches", settings).splitlines()[0],
        "columns": len(columns_of(settings, "batch")),
        "products": [product.label for product in settings.fields.products][:1],
        "schedule": reconciliation_schedule(),
        "limit": settings.payload_days,
        "report": templates(INCLUDE.resolve()).get_template("weekly.html.jinja").filename,
        "output": settings.output_url,
    }), flush=True)
"""


class Site:
    """
    An Airflow whose code is a link to a checkout.

    :param plugins: Airflow's plugins folder, through the link.
    """

    def __init__(self, folder: Path, layout: str) -> None:
        self.home = folder / "airflow"
        self.link = folder / "repo"
        self.checkouts = folder / ".worktrees"
        self.move_to("one", schedule="0 6 * * 1", days=90, label="Fraud Detection")
        self.home.mkdir()
        self.plugins = self.home / "plugins"
        match layout:
            case "project":
                self.plugins = self.link / "plugins"
            case "plugins":
                self.plugins.symlink_to("../repo/plugins")
            case "package":
                self.plugins.mkdir()
                (self.plugins / "feature_sync").symlink_to(self.link / "plugins" / "feature_sync")
            case "files":
                self.plugins.mkdir()
                shutil.copytree(self.link / "plugins" / "feature_sync", self.plugins / "feature_sync")
                for file in (self.plugins / "feature_sync").rglob("*.py"):
                    place = file.relative_to(self.plugins)
                    file.unlink()
                    file.symlink_to(self.link / "plugins" / place)
        self.process = subprocess.Popen(
            [sys.executable, "-c", LOOK, str(self.plugins)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "AIRFLOW_HOME": str(self.home)},
        )

    def move_to(self, name: str, *, schedule: str, days: int, label: str) -> None:
        """Make another checkout, move the link to it, and delete the former one."""
        checkout = self.checkouts / name
        for folder in ("plugins", "include"):
            shutil.copytree(PROJECT / folder, checkout / folder, ignore=shutil.ignore_patterns("__pycache__"))
        changes = {
            "include/settings.toml": {'"0 6 * * 1"': f'"{schedule}"', "= 90\n": f"= {days}\n"},
            "include/feature_fields.toml": {'"Fraud Detection"': f'"{label}"'},
            "include/sql/backfill/select_batches.sql": {"-- Each batch": f"-- {name}: each batch"},
        }
        for file, texts in changes.items():
            text = (checkout / file).read_text()
            for old, new in texts.items():
                assert old in text
                text = text.replace(old, new)
            (checkout / file).write_text(text)
            os.utime(checkout / file, (1, 1))  # so that only the place tells the versions apart, as after `cp -p`
        former = self.link.resolve() if self.link.is_symlink() else None
        new = self.link.with_name("new")
        new.symlink_to(checkout.relative_to(self.link.parent))
        new.replace(self.link)
        if former:
            shutil.rmtree(former)

    def look(self) -> dict[str, Any]:
        """What a process that has begun with the first checkout sees now."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write("look\n")
        self.process.stdin.flush()
        line = next(line for line in self.process.stdout if line.startswith("LOOK"))
        return json.loads(line.removeprefix("LOOK"))  # type: ignore[no-any-return]


@pytest.fixture(params=["project", "plugins", "package", "files"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path, request.param)
    yield site
    site.process.kill()
    site.process.communicate()


def test_a_process_that_has_begun_before_the_link_moved_reads_the_new_checkout(site: Site, tmp_path: Path) -> None:
    before = site.look()
    site.move_to("two", schedule="0 7 * * 2", days=30, label="Fraud")
    after = site.look()

    assert before["sql"].startswith("-- one: ")
    assert (before["schedule"], before["limit"], before["products"]) == ("0 6 * * 1", 90, ["Fraud Detection"])
    assert after["sql"].startswith("-- two: ")
    assert (after["schedule"], after["limit"], after["products"]) == ("0 7 * * 2", 30, ["Fraud"])
    assert after["report"] == str(tmp_path / ".worktrees" / "two" / "include" / "report" / "weekly.html.jinja")
    assert after["columns"] == before["columns"] == 25
    assert before["output"] == after["output"] == str(site.home / "output" / "sync_payloads"), "or it goes with the checkout"


def test_a_project_without_a_link_has_its_files_below_itself() -> None:
    module = PROJECT / "plugins" / "feature_sync" / "config" / "paths.py"

    assert find_project(module) == PROJECT


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")

    assert find_project(tmp_path / "a" / "plugins" / "feature_sync" / "paths.py") == tmp_path
