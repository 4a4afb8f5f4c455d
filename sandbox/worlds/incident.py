"""The default world: the incident report's, with 23 columns, whole-number ids and two syncs. `sandbox.seed` has the data."""

from feature_sync.config.fields import FieldKind, load_fields
from sandbox.census.syncs import incident_workspace
from sandbox.salesforce.schema import FieldType, ObjectSchema, OrgField
from sandbox.seed import org_records, seed_warehouse
from sandbox.worlds.definition import Replica, WorldDefinition


def _schema() -> ObjectSchema:
    kinds = {
        FieldKind.TEXT: FieldType.STRING,
        FieldKind.CHECKBOX: FieldType.BOOLEAN,
        FieldKind.DATE: FieldType.DATE,
        FieldKind.DATETIME: FieldType.DATETIME,
    }
    table = load_fields()
    labels = {
        field.column: f"{product.label} {what}"
        for product in table.products
        for field, what in zip(product.fields, ("Enabled", "Start Date", "Updated Date"), strict=True)
    }
    # The two keys have capitals that the rule x_c -> x__c cannot know. Salesforce ignores case when it compares names.
    spelled = {"snappt_property_id__c": "Snappt_Property_ID__c", "reverse_etl_id__c": "Reverse_ETL_ID__c"}
    return ObjectSchema.of(
        [
            OrgField("Id", "Record ID", FieldType.ID, updateable=False),
            OrgField("Name", "Property Name", FieldType.STRING),
            *(
                OrgField(
                    spelled.get(field.salesforce_name, field.salesforce_name),
                    labels.get(field.column, field.column.removesuffix("_c").replace("_", " ").title()),
                    kinds[field.kind],
                    is_key=field == table.upsert_key,
                    is_unique=field == table.upsert_key,
                )
                for field in table
            ),
            OrgField("CreatedDate", "Created Date", FieldType.DATETIME, updateable=False),
            _user("CreatedById", "Created By ID"),
            OrgField("LastModifiedDate", "Last Modified Date", FieldType.DATETIME, updateable=False),
            _user("LastModifiedById", "Last Modified By ID"),
            OrgField("SystemModstamp", "System Modstamp", FieldType.DATETIME, updateable=False),
            OrgField("IsDeleted", "Deleted", FieldType.BOOLEAN, updateable=False),
        ]
    )


def _user(name: str, label: str) -> OrgField:
    relationship = name.removesuffix("Id")
    return OrgField(name, label, FieldType.REFERENCE, updateable=False, relationship=relationship, refers_to="User")


def _replica() -> Replica:
    names = {"id": "Id", "name": "Name"}
    names |= {field.column: field.salesforce_name for field in load_fields()}
    names |= {"created_date": "CreatedDate", "system_modstamp": "SystemModstamp", "is_deleted": "IsDeleted"}
    return Replica("crm.salesforce.product_property_c", names)


INCIDENT_WORLD = WorldDefinition(
    name="incident",
    schema=_schema(),
    replica=_replica(),
    census=incident_workspace(),
    seed_warehouse=seed_warehouse,
    org_records=org_records,
    parent_column="company_id",
)
