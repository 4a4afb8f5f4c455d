"""Buttons on Airflow's page of a task: our page of the run, its files, and the run in Census."""

from typing import Any, ClassVar

from airflow.sdk import BaseOperatorLink, conf

from feature_sync.config.addresses import census_run_url, run_file_url, run_page_url
from feature_sync.config.settings import load_settings


class _Link(BaseOperatorLink):
    """Airflow asks for the address in the task's process when a try ends or begins to wait. A link is never a reason to fail."""

    shown_as: ClassVar[str] = ""

    @property
    def name(self) -> str:
        return self.shown_as

    def address(self, operator: Any, ti_key: Any) -> str:
        """:param ti_key: what names the task instance. :returns: an empty text if there is none."""
        raise NotImplementedError

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        try:
            return self.address(operator, ti_key)
        except Exception as error:  # settings that cannot be read, for example; the task itself says so
            operator.log.warning("There is no link %s (%s)", self.name, type(error).__name__)
            return ""


class ProgressLink(_Link):
    shown_as = "Progress"

    def address(self, operator: Any, ti_key: Any) -> str:  # noqa: ARG002 - each link has the same question
        return run_page_url(_base_url(), ti_key.dag_id, ti_key.run_id)


class _FileLink(_Link):
    file: ClassVar[str] = ""

    def address(self, operator: Any, ti_key: Any) -> str:  # noqa: ARG002 - the same
        return run_file_url(_base_url(), ti_key.dag_id, ti_key.run_id, self.file)


class ReportLink(_FileLink):
    shown_as, file = "Report", "report.html"


class RejectedRowsLink(_FileLink):
    shown_as, file = "Rejected rows", "rejected_records.csv"


class DifferencesLink(_FileLink):
    shown_as, file = "Differences", "mismatches.csv"


class CensusRunLink(_Link):
    """The Census run of a batch. The operator keeps its id in ``census_run``."""

    shown_as = "Census run"

    def address(self, operator: Any, ti_key: Any) -> str:  # noqa: ARG002 - the same
        settings = load_settings()
        run = getattr(operator, "census_run", None)
        return census_run_url(settings.census_run_url, settings.census_sync_id, run) if run else ""


def _base_url() -> str:
    return conf.get("api", "base_url", fallback="") or ""
