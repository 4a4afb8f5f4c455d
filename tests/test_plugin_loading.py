"""What Airflow imports of the package when it starts: two new processes, because in this one it is imported already."""

import subprocess
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[1] / "plugins"
MODULES = sorted(
    ".".join(path.relative_to(PLUGINS).with_suffix("").parts).removesuffix(".__init__")
    for path in (PLUGINS / "feature_sync").rglob("*.py")
)
LOAD_PLUGINS = f"""
import sys
from airflow import plugins_manager
plugins_manager.ensure_plugins_loaded()
errors = plugins_manager.get_import_errors()
ours = [name for name in sys.modules if name.partition(".")[0] == "feature_sync"]
stems = {sorted({path.stem for path in (PLUGINS / "feature_sync").rglob("*.py")} - {"__init__"})!r}
as_top = [name for name in stems if "feature_sync" in str(getattr(sys.modules.get(name), "__file__", ""))]
print("LOADED", ours, as_top, [key for key in errors if "feature_sync" in key])
apps, _ = plugins_manager.get_fastapi_plugins()
print("APPS", [app["url_prefix"] for app in apps if app["url_prefix"] == "/feature-sync"])
"""
IMPORT_ALL = f"""
import importlib, sys, warnings
sys.path.insert(0, {str(PLUGINS)!r})
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for name in {MODULES!r}:
        importlib.import_module(name)
ours = [warning for warning in caught if warning.filename.startswith({str(PLUGINS)!r})]
deprecations = [warning for warning in ours if issubclass(warning.category, (DeprecationWarning, FutureWarning))]
print("OURS", [f"{{each.filename}}:{{each.lineno}}: {{each.message}}" for each in deprecations])
"""


class Printed:
    """What a new process prints. It starts at once, so that it works while other tests run."""

    def __init__(self, code: str) -> None:
        self._process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __call__(self) -> str:
        return self._printed

    @cached_property
    def _printed(self) -> str:
        printed, errors = self._process.communicate()
        assert self._process.returncode == 0, errors
        return printed

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module", autouse=True)
def plugins() -> Iterator[Printed]:
    """A process that loads the plugins as Airflow does. In this one the package is imported already."""
    process = Printed(LOAD_PLUGINS)
    yield process
    process.end()


@pytest.fixture(scope="module", autouse=True)
def imports() -> Iterator[Printed]:
    """A process that imports every module of the package."""
    process = Printed(IMPORT_ALL)
    yield process
    process.end()


def test_the_plugin_loader_executes_only_the_names_of_our_dags(plugins: Printed) -> None:
    """The listener must know whose runs are ours before anything else, also if the rest cannot be imported."""
    assert "LOADED ['feature_sync', 'feature_sync.config', 'feature_sync.config.names'] [] []" in plugins()


def test_the_plugin_gives_the_api_server_its_routes(plugins: Printed) -> None:
    assert "APPS ['/feature-sync']" in plugins()


def test_importing_every_module_raises_no_deprecation_warning_of_ours(imports: Printed) -> None:
    assert "OURS []" in imports()
