import pytest

from feature_sync.config.fields import FieldKind, FieldTableError, load_fields, parse_fields


def product(**changes: str) -> dict[str, str]:
    return {
        "label": "Rent",
        "source": "rent",
        "enabled": "rent_enabled_c",
        "start": "rent_start_c",
        "updated": "rent_updated_c",
    } | changes


def table(**products: dict[str, str]) -> dict:
    return {"property_id": "snappt_property_id_c", "upsert_key": "reverse_etl_id_c", "products": products}


def test_the_columns_are_the_23_of_the_incident_in_their_order() -> None:
    columns = load_fields().columns

    assert len(columns) == 23
    assert columns[:5] == (
        "snappt_property_id_c",
        "reverse_etl_id_c",
        "fraud_detection_enabled_c",
        "fraud_detection_start_date_c",
        "fraud_detection_updated_date_c",
    )
    assert columns[-3:] == ("verification_of_rent_enabled_c", "vor_start_date_c", "vor_updated_date_c")


def test_each_product_reads_the_columns_of_its_source_prefix() -> None:
    sources = {product.name: [field.source for field in product.fields] for product in load_fields().products}

    assert sources["connected_payroll"] == ["payroll_linking_enabled", "payroll_linking_enabled_at", "payroll_linking_updated_at"]
    assert len(sources) == 7


def test_the_salesforce_name_doubles_the_underscore_of_the_suffix_only() -> None:
    assert load_fields().upsert_key.salesforce_name == "reverse_etl_id__c"
    assert load_fields().products[6].start.salesforce_name == "vor_start_date__c"


def test_a_date_column_named_as_datetime_is_one() -> None:
    fields = load_fields(frozenset({"vor_start_date_c"}))

    kinds = {field.column: field.kind for field in fields}

    assert kinds["vor_start_date_c"] is FieldKind.DATETIME
    assert kinds["vor_updated_date_c"] is FieldKind.DATE


def test_a_flag_cannot_be_a_datetime() -> None:
    with pytest.raises(FieldTableError, match="idv_only_enabled_c"):
        load_fields(frozenset({"idv_only_enabled_c"}))


@pytest.mark.parametrize(
    ("other", "complaint"),
    [
        pytest.param({"start": "rent_start_c"}, "column rent_start_c", id="column-twice"),
        pytest.param({"label": "Rent"}, "label Rent", id="label-twice"),
        pytest.param({"source": "rent"}, "source rent", id="source-twice"),
        pytest.param({"enabled": "lease enabled"}, "lease enabled", id="no-column-name"),
        pytest.param({"enabled": "x; DROP TABLE y_c"}, "DROP TABLE", id="sql-in-a-name"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(other: dict[str, str], complaint: str) -> None:
    lease = product(label="Lease", source="lease", enabled="lease_enabled_c", start="lease_start_c", updated="lease_updated_c")

    with pytest.raises(FieldTableError, match=complaint):
        parse_fields(table(rent=product(), lease=lease | other))


def test_a_missing_entry_is_named() -> None:
    incomplete = product()
    del incomplete["updated"]

    with pytest.raises(FieldTableError, match="updated"):
        parse_fields(table(rent=incomplete))
