from pathlib import Path

import pytest

from feature_sync.config.fields import FIELDS_FILE, FieldKind, FieldTableError, FlagType, load_fields, parse_fields


def product(**changes: str) -> dict[str, str]:
    return {
        "label": "Rent",
        "source": "rent",
        "enabled": "rent_enabled_c",
        "start": "rent_start_c",
        "updated": "rent_updated_c",
    } | changes


def without(*entries: str) -> dict[str, str]:
    return {name: value for name, value in product().items() if name not in entries}


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


@pytest.mark.parametrize("entry", ["label", "source", "enabled"])
def test_a_missing_entry_is_named(entry: str) -> None:
    with pytest.raises(FieldTableError, match=f"lacks the entry '{entry}'"):
        parse_fields(table(rent=without(entry)))


class TestOptionalFields:
    @pytest.mark.parametrize(
        ("absent", "dates"),
        [
            pytest.param(["start"], ["rent_updated_c"], id="no-start"),
            pytest.param(["updated"], ["rent_start_c"], id="no-updated"),
            pytest.param(["start", "updated"], [], id="no-date"),
        ],
    )
    def test_a_product_has_the_dates_that_exist(self, absent: list[str], dates: list[str]) -> None:
        fields = parse_fields(table(rent=without(*absent)))

        [rent] = fields.products
        assert [each.column for each in rent.dates] == [each.column for each in fields.dates] == dates
        assert [name for name in ("start", "updated") if getattr(rent, name) is None] == absent
        assert fields.columns == ("snappt_property_id_c", "reverse_etl_id_c", "rent_enabled_c", *dates)

    def test_one_column_may_be_both_keys_and_is_there_once(self) -> None:
        fields = parse_fields(table(rent=product()) | {"upsert_key": "snappt_property_id_c"})

        assert fields.columns == ("snappt_property_id_c", "rent_enabled_c", "rent_start_c", "rent_updated_c")
        assert fields.keys == (fields.property_id,) == (fields.upsert_key,)

    @pytest.mark.parametrize(("value", "kind"), [("boolean", FlagType.BOOLEAN), ("number", FlagType.NUMBER)])
    def test_flags_may_be_numbers(self, value: str, kind: FlagType) -> None:
        assert parse_fields(table(rent=product()) | {"flag_type": value}).flag_type is kind

    def test_flags_are_booleans_if_nothing_says_otherwise(self) -> None:
        assert parse_fields(table(rent=product())).flag_type is FlagType.BOOLEAN

    @pytest.mark.parametrize(
        ("data", "complaint"),
        [
            pytest.param(
                table(rent={**without("updated"), "upated": "rent_updated_c"}), r"\['upated'\] of rent", id="typo-of-a-product"
            ),
            pytest.param(table(rent=product()) | {"flagtype": "number"}, r"\['flagtype'\]", id="typo-at-the-top"),
            pytest.param(
                table(rent=product()) | {"flag_type": "bit"}, "flag_type is 'bit'; allowed are boolean, number", id="type"
            ),
            pytest.param(table(), "has no product", id="no-product"),
            pytest.param(table(rent=product(source="r; DROP TABLE x")), "DROP TABLE", id="sql-in-a-source"),
            pytest.param(table(**{"rent'": product()}), "not names in letters", id="quote-in-a-product"),
        ],
    )
    def test_what_nobody_can_have_meant_is_refused(self, data: dict, complaint: str) -> None:
        with pytest.raises(FieldTableError, match=complaint):
            parse_fields(data)


class TestCure:
    def test_a_date_can_be_left_out_and_the_line_is_named(self) -> None:
        fields = load_fields()

        assert fields.cure(fields.products[0].dates[1], "Salesforce has no such field") == (
            "If Salesforce has no such field, remove `updated` from fraud_detection in feature_fields.toml (line 12)."
        )
        assert "# The" in FIELDS_FILE.read_text().splitlines()[0]
        assert FIELDS_FILE.read_text().splitlines()[11].startswith("fraud_detection ")

    def test_a_product_can_be_removed_and_a_key_corrected(self) -> None:
        fields = load_fields()

        flag, key = fields.products[6].enabled, fields.upsert_key
        assert fields.cure(flag, "it is gone") == "If it is gone, remove verification_of_rent from feature_fields.toml (line 18)."
        assert fields.cure(key, "it is gone") == "If it is gone, correct `upsert_key` in feature_fields.toml (line 8)."

    def test_the_file_and_its_line_are_those_of_the_setting(self, tmp_path: Path) -> None:
        path = tmp_path / "ours.toml"
        path.write_text(
            'property_id = "id_c"\nupsert_key = "id_c"\n[products.rent]\nlabel = "Rent"\nsource = "rent"\n'
            '# enabled = "rent_on_c"\nenabled = \'rent_on_c\'\nstart = "rent_start_c" # since\n'
        )

        fields = load_fields(path=path)

        cures = [fields.cure(each, "so") for each in fields]
        assert cures == [
            "If so, correct `property_id` in ours.toml (line 1).",
            "If so, remove rent from ours.toml (line 7).",
            "If so, remove `start` from rent in ours.toml (line 8).",
        ]


@pytest.mark.parametrize("text", [None, "property_id = ", b"\xff"], ids=["missing", "not-toml", "not-utf-8"])
def test_a_file_that_cannot_be_read_is_named_with_its_setting(tmp_path: Path, text: str | bytes | None) -> None:
    path = tmp_path / "ours.toml"
    if text is not None:
        path.write_bytes(text.encode() if isinstance(text, str) else text)

    with pytest.raises(FieldTableError, match=r"ours\.toml \(FIELDS_FILE\) cannot be read"):
        load_fields(path=path)


def test_a_file_that_changes_is_read_again_because_the_triggerer_lives_longer(tmp_path: Path) -> None:
    file = tmp_path / "fields.toml"
    text = FIELDS_FILE.read_text(encoding="utf-8")
    file.write_text(text, encoding="utf-8")
    before = load_fields(path=file).upsert_key.column
    file.write_text(text.replace(f'upsert_key = "{before}"', 'upsert_key = "another_key_c"'), encoding="utf-8")

    assert load_fields(path=file).upsert_key.column == "another_key_c" != before
