"""The regular sync is judged by what it yields: in the real world, where it reads a view with the mistakes of both incidents."""

from typing import Any

import pytest

from feature_sync.census.hook import CensusHook
from feature_sync.config.settings import load_settings
from feature_sync.deployment.deploy import (
    DeployError,
    SourceQueryError,
    check_source_query,
    deploy_mappings,
    deploy_query,
    plan_deployment,
)
from feature_sync.deployment.source_query import query_before_ours
from feature_sync.deployment.value_check import Judgement, judge, read_source, regular_sync_warnings
from feature_sync.storage.warehouse import Warehouse, render_statement
from sandbox.worlds.real_warehouse import SYNC_COLUMNS
from tests.sandbox.client import Sandbox
from tests.wire.deployment.conftest import REGULAR, REGULAR_DATASET, VIEW


def correct_view(sandbox: Sandbox, features: str = "", where: str = "", **columns: str) -> None:
    """
    The view as it should be: one row a property, the features joined, the company's name from the companies.

    :param features: SQL of other features, by ``REPLACE``-like lines ``expression AS column``. :param columns: other expressions.
    """
    settings = load_settings()
    values = {"company_name_c": "c.name", **columns}
    lines = [f"{values.get(column, sql)} AS {column}" for column, sql in SYNC_COLUMNS.items()]
    for field in settings.fields.features:
        flag = f"CASE WHEN f.property_id IS NULL THEN FALSE ELSE f.{field.column} END"
        lines.append(f"{columns.get(field.column, flag if field.kind == 'checkbox' else f'f.{field.column}')} AS {field.column}")
    own_rows = rendered_feature_rows()
    sandbox.sql(
        f"CREATE OR REPLACE VIEW {VIEW} AS SELECT {', '.join(lines)} FROM {settings.properties_table} p"
        f" LEFT JOIN rds.pg_rds_public.companies c ON c.id = p.company_id"
        f" LEFT JOIN ({own_rows}) f ON f.property_id = p.id {features}"
        f" WHERE upper(p.status) <> 'DELETED' AND NOT COALESCE(f.is_ambiguous, FALSE) {where}"
    )


def rendered_feature_rows() -> str:
    return render_statement("fragments/feature_rows", load_settings())


UNEQUAL = 12
"""Properties of the real world with feature rows that contradict each other."""


def refusal() -> str:
    with pytest.raises(SourceQueryError) as refused:
        check_source_query()
    return str(refused.value)


def judged() -> Judgement:
    settings = load_settings()
    census = CensusHook()
    sync = census.get_sync(settings.census_property_sync_id)
    with Warehouse(settings) as warehouse:
        return judge(warehouse, sync, read_source(census, sync))


def test_both_incidents_are_found_behind_the_view_by_their_values(real: Sandbox) -> None:  # noqa: ARG001
    text = refusal()

    assert text.startswith("Census dataset 6021 (Product property sync) would write wrong values to Salesforce")
    assert "fraud_detection_enabled__c (column fraud_detection_enabled_c) is wrongly False in 1,393 and wrongly True in 0" in text
    assert "The join with the feature table is missing" in text
    assert "Company_Name__c (column company_name_c) would be overwritten in 1,749 of 1,749 records" in text
    assert "The name is taken from the wrong table" in text
    assert f"reads the view `{VIEW.replace('.', '`.`')}`, whose text differs" in text


def test_a_view_that_yields_what_the_warehouse_says_passes_whatever_its_text_is(real: Sandbox) -> None:
    correct_view(real)

    result = check_source_query()

    assert (result["records"] > 1_900, result["text_differs"]) == (True, True)


def test_the_missing_join_alone_is_found(real: Sandbox) -> None:
    correct_view(real, fraud_detection_enabled_c="FALSE")

    text = refusal()

    assert "fraud_detection_enabled__c" in text
    assert "The column is True in no row, although the feature table has the product for" in text
    assert "Company_Name__c" not in text
    assert "Income Verification" not in text.partition("For information")[0]


def test_a_property_that_is_there_twice_counts_by_the_row_that_belongs_in_salesforce(real: Sandbox) -> None:
    correct_view(real)
    before = judged()
    table = load_settings().properties_table
    real.sql(f"INSERT INTO {table} (id, status) SELECT MIN(id), 'DELETED' FROM {table} WHERE status = 'ACTIVE'")

    assert judged() == before


def test_the_wrong_name_alone_is_found(real: Sandbox) -> None:
    correct_view(real, company_name_c="p.name")

    text = refusal()

    assert "Company_Name__c (column company_name_c) would be overwritten" in text
    assert "is wrongly False" not in text


def test_the_company_taken_for_the_property_is_found_too(real: Sandbox) -> None:
    correct_view(real, property_name_c="c.name")

    text = refusal()

    assert "Property_Name__c (column property_name_c) would be overwritten" in text
    assert "Salesforce has the property's own name, and the query another one" in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fraud_detection_enabled_c": "f.fraud_detection_enabled_c"}, "is NULL in"),
        ({"income_verification_enabled_c": "TRUE"}, "The column is True in every row"),
        ({"idv_only_start_date_c": "f.idv_only_start_date_c + INTERVAL 1 DAY"}, "IDV Only: idv_only_start_date__c"),
        ({"snappt_property_id_c": "CASE WHEN p.id LIKE '0%' THEN NULL ELSE p.id END"}, "no key"),
        ({"snappt_property_id_c": "concat(p.id, 'x')"}, "a property that the properties table does not have"),
        ({"features": "CROSS JOIN (SELECT 1 AS one UNION ALL SELECT 2) twice"}, "share a key with another row"),
    ],
)
def test_each_mistake_in_a_view_is_said_with_numbers(real: Sandbox, changes: dict[str, str], words: str) -> None:
    correct_view(real, **changes)

    assert words in refusal()


def test_a_sync_that_reads_the_view_itself_is_judged_without_any_dataset(real: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_CENSUS_DATASET_ID", "0")
    catalog, schema, table = VIEW.split(".")
    view = {"type": "table", "table_catalog": catalog, "table_schema": schema, "table_name": table}
    real.census("PATCH", f"syncs/{REGULAR}", json={"source_attributes": {"connection_id": 1_204, "object": view}})

    text = refusal()
    with pytest.raises(DeployError, match="CENSUS_DATASET_ID is 0"):
        plan_deployment()
    correct_view(real)

    assert f"{VIEW} would write wrong values" in text
    assert f"Correct {VIEW} where it is made" in text
    assert check_source_query()["source"] == VIEW


def test_a_query_without_the_sync_key_is_unknown_and_never_fine(real: Sandbox) -> None:
    real.census("PATCH", f"datasets/{REGULAR_DATASET}", json={"query": "SELECT 1 AS one"})

    text = refusal()

    assert text.startswith("It is unknown what the regular sync (Census sync 41877) would write.")
    assert "The sync key of Census sync 41877 must be one column of its source" in text


def test_a_view_that_fails_is_unknown_and_never_fine(real: Sandbox) -> None:
    real.fault("warehouse", "fail", contains="AS source\nLIMIT 0", message="[TABLE_OR_VIEW_NOT_FOUND] gone")

    assert "The query of Census dataset 6021 (Product property sync) fails in the warehouse" in refusal()


def test_a_dataset_that_may_not_be_read_is_judged_by_what_the_sync_shows_of_it(real: Sandbox) -> None:
    correct_view(real)
    real.fault("fetch_dataset", "status", code=403)

    assert check_source_query()["records"] > 1_900


def test_before_a_repair_it_is_said_that_the_next_sync_would_undo_it(real: Sandbox) -> None:
    with Warehouse(load_settings()) as warehouse:
        head, *found = regular_sync_warnings(warehouse)
        correct_view(real, company_name_c="p.name")
        afterwards = regular_sync_warnings(warehouse)
        real.fault("fetch_sync", "status", code=403)
        unknown = regular_sync_warnings(warehouse)

    assert head.startswith("The repair would be undone by the next run of the regular sync (Census sync 41877, ")
    assert "schedule daily" in head
    assert any("wrongly False in 1,393" in each for each in found)
    assert afterwards == [], "another field is no concern of a repair of the features"
    assert "It is unknown whether the regular sync (Census sync 41877) would undo the repair" in unknown[0]


class TestDeploy:
    """Into a dataset whose sync maps forty columns."""

    def columns(self, sandbox: Sandbox) -> list[Any]:
        return sandbox.census("GET", f"syncs/{REGULAR}").json()["data"]["mappings"]

    def test_other_mapped_columns_stay_as_they_are_and_a_second_deployment_changes_nothing(self, real: Sandbox) -> None:
        before = real.sql(f"SELECT snappt_property_id_c, phone_c, company_name_c FROM {VIEW} ORDER BY 1")
        mappings = self.columns(real)

        plan = plan_deployment()
        assert deploy_query(plan) == {"changed": True}
        assert deploy_mappings(plan) == {"changed": False}

        query = real.census("GET", f"datasets/{REGULAR_DATASET}").json()["data"]["query"]
        rows = real.sql(f"SELECT snappt_property_id_c, phone_c, company_name_c FROM ({query}) AS q ORDER BY 1")
        assert self.columns(real) == mappings
        assert set(map(tuple, rows)) <= set(map(tuple, before))
        assert len(rows) == len(before) - UNEQUAL, "but for those whose feature rows are unequal"
        assert query_before_ours(query).text == f"SELECT * FROM {VIEW}"
        assert plan_deployment().question is None
        text = refusal()
        assert "Company_Name__c" in text, "it was wrong before and is still shown"
        assert "wrongly False" not in text

    def test_the_approval_shows_what_the_new_query_yields(self, real: Sandbox) -> None:  # noqa: ARG002
        question = str(plan_deployment().question)

        assert f"The new query was tried in the warehouse: it yields {2_002 - UNEQUAL:,} rows" in question
        assert "Company_Name__c (column company_name_c) would be overwritten" in question

    def test_a_query_that_yields_two_rows_with_one_key_is_not_deployed(self, real: Sandbox) -> None:
        plan = plan_deployment()
        correct_view(real, features="CROSS JOIN (SELECT 1 AS one UNION ALL SELECT 2) twice")

        for deploy in (plan_deployment, lambda: deploy_query(plan)):
            with pytest.raises(DeployError, match=r"(?s)Nothing was changed.*share a key with another row"):
                deploy()

        assert real.census("GET", f"datasets/{REGULAR_DATASET}").json()["data"]["query"] == f"SELECT * FROM {VIEW}"

    def test_a_mapping_that_would_break_is_refused_by_name(self, real: Sandbox) -> None:
        mappings = self.columns(real)
        broken = [{**each, "from": {"type": "column", "data": "gone"}} if each["to"] == "Phone__c" else each for each in mappings]
        real.census("PATCH", f"syncs/{REGULAR}", json={"mappings": broken})

        with pytest.raises(DeployError, match="it maps Phone__c from gone, a column that neither the query in Census"):
            plan_deployment()
