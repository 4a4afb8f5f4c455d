"""What is granted, and what is lacking."""

import pytest

from feature_sync.storage.privileges import Privileges, parse_privileges

TABLE = "crm.sfdc_dbx.Product"
BASIS = {("crm", "USE CATALOG"), ("crm.sfdc_dbx", "USE SCHEMA")}


def granted(*pairs: tuple[str, str]) -> Privileges:
    return Privileges("us@example.com", frozenset(pairs))


@pytest.mark.parametrize(
    ("name", "privilege", "is_allowed"),
    [
        ("crm.sfdc_dbx.product", "SELECT", True),
        ("crm.sfdc_dbx", "SELECT", True),
        ("crm", "SELECT", True),
        ("crm.sfdc_dbx", "ALL PRIVILEGES", True),
        ("crm.sfdc_dbx.product", "OWNERSHIP", True),
        ("crm.sfdc_dbx", "OWNERSHIP", False),
        ("crm.sfdc_dbx.product", "MODIFY", False),
        ("crm.sfdc", "SELECT", False),
        ("rds", "ALL PRIVILEGES", False),
    ],
)
def test_a_privilege_comes_from_the_table_or_from_what_is_above_it(name: str, privilege: str, is_allowed: bool) -> None:
    assert granted((name, privilege)).allow("SELECT", TABLE) is is_allowed


def test_what_is_lacking_is_a_statement_for_each_privilege() -> None:
    assert granted(*BASIS, (TABLE.lower(), "SELECT")).lacking(TABLE, "SELECT", "MODIFY") == [
        f"GRANT MODIFY ON TABLE {TABLE} TO `us@example.com`;"
    ]
    assert granted(*BASIS).lacking_to_create(TABLE) == ["GRANT CREATE TABLE ON SCHEMA crm.sfdc_dbx TO `us@example.com`;"]
    assert granted(("crm", "ALL PRIVILEGES")).lacking_to_create(TABLE) == []


def test_a_grant_on_a_table_is_of_no_use_without_its_schema_and_its_catalog() -> None:
    assert granted((TABLE.lower(), "SELECT")).lacking(TABLE, "SELECT") == [
        "GRANT USE CATALOG ON CATALOG crm TO `us@example.com`;",
        "GRANT USE SCHEMA ON SCHEMA crm.sfdc_dbx TO `us@example.com`;",
    ]


def test_underscores_in_the_names_of_privileges_do_not_matter() -> None:
    rows = [
        {"name": "", "privilege": "IDENTITY", "principal": "us@example.com"},
        {"name": "crm.sfdc_dbx", "privilege": "use_schema", "principal": "us@example.com"},
    ]

    assert parse_privileges(rows) == granted(("crm.sfdc_dbx", "USE SCHEMA"))
