from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.wire.page.airflow import ApiServer


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    folder: Path = tmp_path_factory.mktemp("page")
    server = ApiServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
