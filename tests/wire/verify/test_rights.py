"""Rights by what was granted: the information schema says it, and nobody tries."""

from collections.abc import Iterator

import pytest

from feature_sync.checks.findings import Finding, Verdict
from feature_sync.config.settings import load_settings
from feature_sync.storage.privileges import read_privileges
from feature_sync.storage.source_tables import source_columns
from feature_sync.storage.tables import look_at_own_tables
from feature_sync.storage.warehouse import Warehouse
from feature_sync.verify.rights import check_rights
from tests.sandbox.client import Sandbox

US = "`sandbox@example.com`"
SOURCES = ("rds.pg_rds_public.properties", "crm.sfdc_dbx.product_property_w_features", "crm.salesforce.product_property_c")
OURS = "crm.sfdc_dbx"


@pytest.fixture
def stranger(sandbox: Sandbox) -> Iterator[Sandbox]:
    """All catalogs, schemas and tables belong to others."""
    things = [f"CATALOG {name}" for name in ("rds", "crm")]
    things += [f"SCHEMA {name.rpartition('.')[0]}" for name in SOURCES] + [f"TABLE {name}" for name in SOURCES]
    for thing in things:
        sandbox.sql(f"ALTER {thing} OWNER TO platform")
    yield sandbox
    for thing in things:
        sandbox.sql(f"ALTER {thing} OWNER TO {US}")
        for privilege in ("ALL PRIVILEGES", "SELECT", "MODIFY", "CREATE TABLE", "USE SCHEMA", "USE CATALOG"):
            for grantee in (US, "`account users`", "others"):
                sandbox.sql(f"REVOKE {privilege} ON {thing} FROM {grantee}")


def found(*, were_read: bool = False) -> list[Finding]:
    with Warehouse(load_settings()) as warehouse:
        own, _ = look_at_own_tables(warehouse)
        return check_rights(warehouse, list(source_columns(warehouse.settings)) if were_read else [], own)


def wrong() -> list[str]:
    return [each.text for each in found() if each.verdict is Verdict.WRONG]


@pytest.mark.usefixtures("sandbox")
def test_who_owns_everything_may_do_everything() -> None:
    assert wrong() == []


@pytest.mark.usefixtures("stranger")
def test_without_a_grant_each_statement_that_is_lacking_is_named() -> None:
    *sources, own = wrong()

    assert [text.partition(".")[0] for text in sources] == [
        f"No grant lets {US[1:-1]} read {name}".partition(".")[0] for name in SOURCES
    ]
    assert f"\n    GRANT USE CATALOG ON CATALOG rds TO {US};" in sources[0]
    assert f"\n    GRANT SELECT ON TABLE {SOURCES[0]} TO {US};" in sources[0]
    assert own.endswith(
        f"run this:\n    GRANT USE CATALOG ON CATALOG crm TO {US};\n    GRANT USE SCHEMA ON SCHEMA {OURS} TO {US};"
        f"\n    GRANT CREATE TABLE ON SCHEMA {OURS} TO {US};"
    )


@pytest.mark.usefixtures("stranger")
def test_a_table_that_was_read_can_be_read_whatever_is_shown_of_grants() -> None:
    findings = found(were_read=True)

    assert sum("could read" in each.text for each in findings if each.verdict is Verdict.RIGHT) == len(SOURCES)


@pytest.mark.parametrize("grantee", [US, "`account users`"])
def test_a_grant_on_what_is_above_counts_and_so_does_one_to_a_group_of_ours(stranger: Sandbox, grantee: str) -> None:
    for catalog in ("rds", "crm"):
        stranger.sql(f"GRANT USE CATALOG, USE SCHEMA, SELECT ON CATALOG {catalog} TO {grantee}")
    assert len(wrong()) == 1, "the tables can be read, but none can be made"

    stranger.sql(f"GRANT CREATE TABLE ON SCHEMA {OURS} TO {grantee}")

    assert wrong() == []


def test_a_grant_to_somebody_else_does_not_count(stranger: Sandbox) -> None:
    for catalog in ("rds", "crm"):
        stranger.sql(f"GRANT ALL PRIVILEGES ON CATALOG {catalog} TO others")

    assert len(wrong()) == len(SOURCES) + 1


def test_the_grants_that_are_lacking_can_be_run_as_they_are_shown(stranger: Sandbox) -> None:
    for text in wrong():
        for statement in text.splitlines()[1:]:
            stranger.sql(statement.strip().removesuffix(";"))

    assert wrong() == []


@pytest.mark.parametrize("closed", ["system.information_schema", "information_schema"])
def test_without_the_information_schema_of_all_catalogs_that_of_each_is_asked(sandbox: Sandbox, closed: str) -> None:
    sandbox.fault(
        "warehouse", "fail", message="[INSUFFICIENT_PERMISSIONS] no", contains=f"FROM {closed}" if "." in closed else closed
    )

    findings = found()

    if closed == "information_schema":
        assert [each.verdict for each in findings] == [Verdict.NOT_CHECKED] * 2
        assert "The information schema of rds cannot be read" in findings[0].text
    else:
        assert [each.text for each in findings if each.verdict is Verdict.WRONG] == []
        assert Verdict.RIGHT in {each.verdict for each in findings}


@pytest.mark.usefixtures("sandbox")
def test_the_warehouse_says_who_we_are_even_if_nothing_was_granted() -> None:
    with Warehouse(load_settings()) as warehouse:
        assert read_privileges(warehouse, ["rds.pg_rds_public.gone"]).principal == US[1:-1]
