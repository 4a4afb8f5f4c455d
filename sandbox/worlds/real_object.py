"""``Product_Property__c`` in the real world, and its replica in the warehouse with 69 columns."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sandbox.salesforce.schema import FieldType, ObjectSchema, OrgField
from sandbox.worlds.definition import Replica

FIELDS_FILE = "sandbox/worlds/real_feature_fields.toml"
KEY = "snappt_property_id_c"
OLD_ID_VERIFICATION = "idv_enabled_c"
LIVE_REPLICA = "crm.sfdc_replica.product_property_c"
STALE_REPLICA = "crm.salesforce.product_property_c"

STANDARD = (
    ("id", "Id", "Record ID", FieldType.ID),
    ("owner_id", "OwnerId", "Owner ID", FieldType.REFERENCE),
    ("is_deleted", "IsDeleted", "Deleted", FieldType.BOOLEAN),
    ("name", "Name", "Product Property Name", FieldType.STRING),
    ("created_date", "CreatedDate", "Created Date", FieldType.DATETIME),
    ("created_by_id", "CreatedById", "Created By ID", FieldType.REFERENCE),
    ("last_modified_date", "LastModifiedDate", "Last Modified Date", FieldType.DATETIME),
    ("last_modified_by_id", "LastModifiedById", "Last Modified By ID", FieldType.REFERENCE),
    ("system_modstamp", "SystemModstamp", "System Modstamp", FieldType.DATETIME),
    ("last_activity_date", "LastActivityDate", "Last Activity Date", FieldType.DATE),
    ("last_viewed_date", "LastViewedDate", "Last Viewed Date", FieldType.DATETIME),
    ("last_referenced_date", "LastReferencedDate", "Last Referenced Date", FieldType.DATETIME),
)
TEXTS = (
    *(
        "account_c",
        "product_c",
        "property_c",
        "company_id_c",
        "company_name_c",
        "company_short_id_c",
        "property_name_c",
        "entity_id_c",
    ),
    *("property_short_id_c", "street_c", "city_c", "state_c", "zip_c", "country_c", "phone_c", "email_c", "website_c", "logo_c"),
    *("unit_count_c", "pmc_name_c", "property_status_c", "integration_type_c", "billing_account_c", "implementation_owner_c"),
    *("customer_success_manager_c", "market_segment_c", "source_system_c", "notes_c"),
)
DATES = ("go_live_date_c", "churn_date_c", "contract_start_date_c")
CHECKBOXES = ("trigger_rollups_c", "exclude_from_flow_c", OLD_ID_VERIFICATION, "is_test_c")
ACRONYMS = {"id": "ID", "idv": "IDV", "vor": "VOR", "etl": "ETL", "pmc": "PMC"}


@dataclass(frozen=True, slots=True)
class Product:
    """A product. ``updated`` is None if Salesforce does not have that field."""

    name: str
    label: str
    source: str
    enabled: str
    start: str
    updated: str | None

    def columns(self) -> Iterator[tuple[str, FieldType, str]]:
        """The product's columns in Salesforce, with their types and what they hold."""
        yield self.enabled, FieldType.BOOLEAN, "enabled"
        yield self.start, FieldType.DATE, "start"
        if self.updated:
            yield self.updated, FieldType.DATE, "updated"


@cache
def products() -> tuple[Product, ...]:
    """The sandbox reads the field table itself, because it must not depend on the package."""
    text = (Path(__file__).parent / Path(FIELDS_FILE).name).read_text(encoding="utf-8")
    return tuple(
        Product(name, row["label"], row["source"], row["enabled"], row["start"], row.get("updated"))
        for name, row in tomllib.loads(text)["products"].items()
    )


def feature_columns() -> list[str]:
    """The 18 feature columns."""
    return [column for product in products() for column, _, _ in product.columns()]


def api_name(column: str) -> str:
    """The field of a column, as an admin spells it: ``vor_start_date_c`` is ``VOR_Start_Date__c``."""
    words = column.removesuffix("_c").split("_")
    return "_".join(ACRONYMS.get(word, word.title()) for word in words) + "__c"


def _fields() -> Iterator[tuple[str, OrgField]]:
    for column, name, label, kind in STANDARD:
        # Every reference here is one to a user: `OwnerId` is `Owner`.
        is_user = kind is FieldType.REFERENCE
        yield (
            column,
            OrgField(
                name,
                label,
                kind,
                updateable=name in ("Name", "OwnerId"),
                relationship=name.removesuffix("Id") if is_user else None,
                refers_to="User" if is_user else None,
            ),
        )
    for column in (KEY, "reverse_etl_id_c"):
        # Neither key is unique in this org. Salesforce refuses a row whose key finds several records.
        yield column, OrgField(api_name(column), _label(column), FieldType.STRING, is_key=True)
    for product in products():
        for column, kind, what in product.columns():
            label = "Enabled" if what == "enabled" else f"{what.title()} Date"
            yield column, OrgField(api_name(column), f"{product.label} {label}", kind)
    for columns, kind in ((TEXTS, FieldType.STRING), (DATES, FieldType.DATE), (CHECKBOXES, FieldType.BOOLEAN)):
        for column in columns:
            yield column, OrgField(api_name(column), _label(column), kind)


def _label(column: str) -> str:
    return "ID Verification (old)" if column == OLD_ID_VERIFICATION else api_name(column).removesuffix("__c").replace("_", " ")


FIELDS = dict(_fields())
"""The org's field of each column."""
SCHEMA = ObjectSchema.of(FIELDS.values())
REPLICA = Replica(
    LIVE_REPLICA, {column: field.name for column, field in FIELDS.items()}, constants={"_fivetran_deleted": "FALSE"}
)
