"""The plugin's answer about the pool."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from feature_sync.config.names import CENSUS_POOL, URL_PREFIX
from feature_sync.config.settings import load_settings
from feature_sync.orchestration.pool import Pool, fetch_pool
from tests.wire.airflow_api import AirflowApi


@pytest.mark.parametrize("pool", [None, Pool(1, include_deferred=True), Pool(128, include_deferred=False)])
def test_the_answer_of_the_plugin_is_understood(monkeypatch: pytest.MonkeyPatch, pool: Pool | None) -> None:
    from sqlalchemy import create_engine  # noqa: PLC0415 - slow, with what follows
    from sqlalchemy.orm import Session  # noqa: PLC0415

    from feature_sync.page import pool_route, routes  # noqa: PLC0415
    from feature_sync_plugin import FeatureSyncPlugin  # noqa: PLC0415

    [mounted] = FeatureSyncPlugin.fastapi_apps
    assert mounted["url_prefix"] == URL_PREFIX
    assert "/pool" in [getattr(route, "path", "") for route in routes.app.routes]

    engine = create_engine("sqlite://")
    pool_route.Pool.__table__.create(engine)
    with Session(engine) as session:
        session.add(pool_route.Pool(pool="default_pool", slots=5, description="", include_deferred=False))
        if pool:
            session.add(
                pool_route.Pool(pool=CENSUS_POOL, slots=pool.slots, description="", include_deferred=pool.include_deferred)
            )
        session.flush()

        @contextmanager
        def create_session() -> Iterator[Session]:
            yield session

        monkeypatch.setattr(pool_route, "create_session", create_session)
        with AirflowApi().serving() as server:
            monkeypatch.setenv("FEATURE_SYNC_AIRFLOW_API_URL", server.url)
            server.pool = pool_route.pool()

            assert fetch_pool(load_settings()) == pool
