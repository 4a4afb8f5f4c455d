"""Grants and owners: kept by the statements of Databricks, and shown by the information schema."""

import pytest
from databricks.sql.client import Connection

from tests.sandbox.warehouse_client import ask

PROPERTIES = "rds.pg_rds_public.properties"
ME = "sandbox@example.com"
OF_TABLE = (
    "SELECT grantee, privilege_type, inherited_from FROM system.information_schema.table_privileges"
    " WHERE table_name = 'properties' AND grantee = '{}' ORDER BY ALL"
)


@pytest.mark.parametrize(
    ("on", "privilege", "shown"),
    [
        pytest.param(f"TABLE {PROPERTIES}", "SELECT", [("SELECT", "NONE")], id="table"),
        pytest.param(PROPERTIES, "SELECT", [("SELECT", "NONE")], id="table-by-default"),
        pytest.param("SCHEMA rds.pg_rds_public", "SELECT", [("SELECT", "SCHEMA")], id="schema"),
        pytest.param("CATALOG rds", "ALL PRIVILEGES", [("ALL PRIVILEGES", "CATALOG")], id="catalog"),
        pytest.param("CATALOG rds", "USE CATALOG", [], id="nothing-that-a-table-has"),
    ],
)
def test_a_table_has_what_is_granted_on_it_or_above_it_until_it_is_revoked(
    connection: Connection, on: str, privilege: str, shown: list[tuple[str, str]]
) -> None:
    ask(connection, f"GRANT {privilege} ON {on} TO `analysts`")
    during = ask(connection, OF_TABLE.format("analysts"))
    ask(connection, f"REVOKE {privilege} ON {on} FROM `analysts`")

    assert during == [("analysts", *each) for each in shown]
    assert ask(connection, OF_TABLE.format("analysts")) == []


def test_whoever_uses_it_owns_everything_until_it_is_given_away(connection: Connection) -> None:
    owners = "SELECT DISTINCT table_owner FROM rds.information_schema.tables WHERE table_name = 'properties'"
    before = ask(connection, owners)

    ask(connection, f"ALTER TABLE {PROPERTIES} OWNER TO platform")
    after = ask(connection, owners)
    ask(connection, f"ALTER TABLE {PROPERTIES} SET OWNER TO `{ME}`")

    assert (before, after) == ([(ME,)], [("platform",)])
    assert ask(connection, "SELECT DISTINCT catalog_owner FROM system.information_schema.catalogs") == [(ME,)]
    assert ask(connection, "SELECT DISTINCT schema_owner FROM system.information_schema.schemata") == [(ME,)]


def test_the_user_is_in_the_group_of_everybody_alone(connection: Connection) -> None:
    asked = "SELECT current_user(), is_account_group_member('account users'), is_account_group_member('admins') FROM {} LIMIT 1"

    assert ask(connection, asked.format("system.information_schema.catalogs")) == [(ME, True, False)]


def test_what_is_kept_of_it_is_no_table_that_a_client_sees(connection: Connection) -> None:
    ask(connection, "GRANT SELECT ON CATALOG rds TO analysts")
    seen = ask(connection, "SELECT table_name FROM crm.information_schema.tables WHERE table_name = 'privilege'")
    ask(connection, "REVOKE SELECT ON CATALOG rds FROM analysts")

    assert seen == []
