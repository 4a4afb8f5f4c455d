"""
Every statement of ``include/sql`` in the order of real runs. ``data.py`` has the data that they work on.

A new statement is one more `Step`. The sandbox's warehouse executes the script (``tests/sandbox/test_warehouse.py``), and so does
Spark, with whose answers it is compared (``tests/spark``).
"""

from typing import Any

from feature_sync.config.fields import FieldKind, FlagType
from feature_sync.config.settings import Settings
from feature_sync.deployment.mapped_columns import MappedColumns, OtherColumn
from feature_sync.deployment.source_query import OTHERS
from feature_sync.storage.lines import as_lines
from feature_sync.storage.marks import own_tables
from feature_sync.storage.tables import column_definitions
from feature_sync.storage.warehouse import SQL_FOLDER, Parameters, columns_of, quoted
from sandbox.warehouse.engine import Engine
from tests.sql.asking import STORY, read_back, validation
from tests.sql.data import ANOTHER, COPY, INCIDENT
from tests.sql.steps import FULL, PILOT, PROBE, RUN, UNDO, Change, Script, Step

ONLY_DATABRICKS = {"tables/describe_detail", "tables/select_look_alikes", "tables/select_privileges"}
"""
They ask Delta and Unity Catalog, which open-source Spark lacks. `tests/wire/storage/` and `tests/wire/verify/` execute them.
"""

STATEMENTS = sorted(
    name
    for path in SQL_FOLDER.rglob("*.sql")
    if not (name := path.relative_to(SQL_FOLDER).with_suffix("").as_posix()).startswith(
        ("fragments/", "tables/columns/", "macros")
    )
    and name not in ONLY_DATABRICKS
)
"""As `render_statement` takes them: what is in ``fragments``, ``tables/columns`` and ``macros.sql`` is a part of others."""
SOME = INCIDENT[100:107]
SENTINELS = ",".join([*SOME[:2], "nobody"])
REFUSED = [key for key in INCIDENT if key.endswith("7")]
BATCHED = ",".join(["50"] * 60)
"""The sizes of more batches than any run here has: the last one gets what is left, and the others nothing."""


VERIFICATION = (Step("verify/count_keys"), Step("verify/count_repeated_ids"), Step("verify/count_twins"))


def script(settings: Settings) -> Script:
    """Every statement."""
    run, probe, full, undo = {"run_id": RUN}, {"run_id": PROBE}, {"run_id": FULL}, {"undo_run_id": RUN}
    pilot = {"run_id": PILOT}
    named = _scope("property_ids", property_ids=",".join(SOME))
    batches = {"batch_size": 50}
    day = _scope("created_between", created_from="2025-11-21", created_to="2025-11-21")
    return [
        *_tables_of_an_older_version(settings),
        *(Step("backfill/count_scope", each) for each in (_scope("all"), _scope("mismatched", skip_unmatched=True), day)),
        Step("backfill/count_scope", named),
        Step("backfill/count_compared_records"),
        Step("backfill/count_records_left_out", _scope("mismatched")),
        Step("backfill/select_records_left_out", _scope("all")),
        Step("backfill/select_unknown_statuses"),
        Step("tables/measure_clock"),
        *VERIFICATION,
        Step("backfill/select_unknown_ids", {"property_ids": f"{SOME[0]},999999,Größe,東京"}),
        # The payload: frozen, looked at, released.
        Step("backfill/delete_unsent_payload", run),
        Step("backfill/freeze_payload", {**day, **run, **batches}),
        Step("backfill/freeze_payload", {**_scope("all"), **run, **batches}),
        Step("backfill/assign_batches", {**run, "sizes": BATCHED}),
        Step("backfill/summarize_payload", run),
        Step("backfill/check_payload", {**run, "earliest_date": "2017-01-01"}),
        Step("backfill/select_batches", run),
        Step("backfill/select_payload", run),
        Step("sending/stage_batch", {**run, "batch_number": 1, "resends_attempt": None, "attempt": 1}),
        Step("backfill/release_payload", run),
        Step("backfill/revoke_payload", run),
        Step("sending/select_batch_keys", {**run, "batch_number": 1, "resends_attempt": None, "attempt": 1}),
        Step("backfill/release_payload", run),
        # Two batches are sent; some records of the first are rejected, and sent again.
        Step("sending/record_attempt", _attempt(1, 1, "sending", previous_sync_run_id=9_007_199_254_740_993)),
        Step("backfill/select_batch", {**run, "batch_number": 1}),
        Step("sending/select_batch_keys", {**run, "batch_number": 1, "resends_attempt": None, "attempt": 1}),
        Step("sending/check_batch", {**run, "batch_number": 1, "resends_attempt": None, "attempt": 1}),
        Step("sending/stage_batch", {**run, "batch_number": 1, "resends_attempt": None, "attempt": 1}),
        Step("sending/check_staged_batch", {**run, "batch_number": 1}),
        Step("sending/select_sent_values", {**run, "batch_number": 1, "resends_attempt": None, "attempt": 1}),
        Step(
            "sending/record_rejections", {**run, "batch_number": 1, "attempt": 1, "rejections": _rejections("UNABLE_TO_LOCK_ROW")}
        ),
        Step(
            "sending/record_rejections",
            {**run, "batch_number": 1, "attempt": 1, "rejections": _rejections('gesperrt: "東京", it\'s')},
        ),
        Step(
            "sending/record_attempt", _attempt(1, 1, "failed", sync_run_id=1_001, records_rejected=5, reason="5 rows — rejected")
        ),
        Step("sending/find_newer_attempt", {**run, "batch_number": 1, "attempt": 1}),
        Step("sending/record_attempt", _attempt(26, 1, "sending", previous_sync_run_id=1_001)),
        Step("sending/record_attempt", _attempt(26, 1, "succeeded", sync_run_id=1_002, records_rejected=0)),
        Step("sending/find_newer_attempt", {**run, "batch_number": 1, "attempt": 1}),
        _brought_in(
            settings, f"run_id = '{RUN}' AND batch_number IN (1, 26) AND {settings.fields.upsert_key.column} NOT LIKE '%7'"
        ),
        Step("sending/select_batch_keys", {**run, "batch_number": 1, "resends_attempt": 1, "attempt": 2}),
        # Before the rejected records are sent again, somebody has changed one of them, and another run of ours one more.
        Step("sending/check_batch", {**run, "batch_number": 1, "resends_attempt": 1, "attempt": 2}),
        Change(f"UPDATE {COPY} SET idv_only_enabled_c = TRUE WHERE reverse_etl_id_c = '{REFUSED[0]}'"),
        Step("sending/check_batch", {**run, "batch_number": 1, "resends_attempt": 1, "attempt": 2}),
        Step(
            "sending/record_rejections",
            {
                **run,
                "batch_number": 1,
                "attempt": 2,
                "rejections": _rejections("CHANGED_SINCE_FREEZE: idv_only_enabled_c", REFUSED[:1]),
            },
        ),
        Step("sending/check_batch", {**run, "batch_number": 1, "resends_attempt": 1, "attempt": 2}),
        Step("sending/select_batch_keys", {**run, "batch_number": 1, "resends_attempt": 1, "attempt": 2}),
        Step("sending/select_sent_values", {**run, "batch_number": 1, "resends_attempt": 1, "attempt": 2}),
        Step("sending/record_before_values", {**run, "batch_number": 1, "resends_attempt": 1, "attempt": 2}),
        Step("sending/stage_batch", {**run, "batch_number": 1, "resends_attempt": 1, "attempt": 2}),
        Step("sending/check_staged_batch", {**run, "batch_number": 2}),
        Step(
            "sending/record_attempt", _attempt(1, 2, "failed", resends_attempt=1, sync_run_id=1_003, records_rejected=1, series=2)
        ),
        Step(
            "sending/record_rejections",
            {**run, "batch_number": 1, "attempt": 2, "rejections": _rejections("still", REFUSED[::2])},
        ),
        Step("sending/record_attempt", _attempt(25, 1, "accepted_by_counters", sync_run_id=1_004)),
        Step("sending/select_last_attempts", {**run, "batch_number": None}),
        Step("sending/select_last_attempts", {**run, "batch_number": 1}),
        Step("sending/select_attempts_to_judge", {**run, "batch_number": 1, "most": 3, "was_cleared": False}),
        Step("sending/select_attempts_to_judge", {**run, "batch_number": 2, "most": 1, "was_cleared": True}),
        Step("sending/select_rejections", run),
        Step("sending/select_accepted_after_rejection", run),
        # The copy is looked at.
        Step("replica/check_replica", run),
        *validation(settings),
        # A probe goes over a limit, and what it left goes into smaller batches.
        Step("backfill/freeze_payload", {**_scope("mismatched", skip_unmatched=True), **probe, "batch_size": 20}),
        Step("backfill/select_other_runs", probe),
        Step("backfill/assign_batches", {**probe, "sizes": "20,40,2000"}),
        Step("backfill/select_other_runs", probe),
        Step("backfill/select_other_runs", run),
        Step(
            "sending/record_rejections", {**probe, "batch_number": 2, "attempt": 1, "rejections": _rejections("Limit Exceeded")}
        ),
        Step("backfill/assign_rest", {**probe, "attempt": 1, "over_limit": 2, "probes": 3, "sizes": ",".join(["20"] * 100)}),
        Step("backfill/select_batches", probe),
        # A pilot goes first. While a person is asked, nothing else may be sent.
        Step("backfill/freeze_payload", {**_scope("mismatched"), **pilot, "batch_size": 20}),
        Step("pilot/assign_pilot", {**pilot, "sentinels": SENTINELS, "batch_size": 20}),
        Step("backfill/assign_batches", {**pilot, "sizes": ",".join(["20"] * 100)}),
        Step("pilot/assign_pilot", {**pilot, "sentinels": "", "batch_size": 20}),
        Step("backfill/select_batches", pilot),
        Step("pilot/count_strata", {**pilot, "sentinels": SENTINELS}),
        Step("pilot/release_pilot", pilot),
        Step("pilot/count_rest", pilot),
        Step("pilot/select_pilot", {**pilot, "sentinels": SENTINELS}),
        Step("pilot/count_shown", {**pilot, "asked_at": None}),
        Step("backfill/release_payload", pilot),
        Step("pilot/revoke_rest", pilot),
        Step("pilot/count_rest", pilot),
        # All at once, of records that were named.
        Step("backfill/freeze_payload", {**named, **full, "batch_size": 2}),
        Step("backfill/assign_batches", {**full, "sizes": str(len(SOME))}),
        Step("backfill/select_frozen_runs"),
        # Undone, where nobody has written since.
        *_undo(settings, undo, batches),
        # The weekly comparison, and the source queries of the regular syncs.
        Step("replica/check_replica", {"run_id": None}),
        *_reconciliation(settings),
        *judging(settings),
        # What has expired is removed.
        Step("backfill/select_expired_runs", {"before": "2020-01-01T06:00:00+00:00"}),
        Step("backfill/select_expired_runs", {"before": "2999-01-01T06:00:00+00:00"}),
        *STORY,
        Step("backfill/delete_rejections", run),
        Step("backfill/delete_read_backs", run),
        Step("backfill/delete_unsent_payload", run),
        Step("backfill/delete_unsent_payload", probe),
        Step("backfill/delete_payload", run),
    ]


def short_script(settings: Settings) -> Script:
    """The statements whose text depends on the settings that change more than names, and what they need."""
    run, undo = {"run_id": RUN}, {"undo_run_id": RUN}
    batches = {"batch_size": 50}
    day = _scope("created_between", created_from="2025-11-21", created_to="2025-11-21")
    return [
        *_tables_of_an_older_version(settings),
        Step("backfill/count_scope", _scope("mismatched")),
        Step("backfill/count_compared_records"),
        Step("backfill/select_unknown_statuses"),
        *VERIFICATION,
        Step("backfill/count_records_left_out", day),
        Step("backfill/select_records_left_out", _scope("mismatched")),
        Step("backfill/freeze_payload", {**_scope("mismatched"), **run, **batches}),
        Step("backfill/assign_batches", {**run, "sizes": BATCHED}),
        Step("backfill/summarize_payload", run),
        Step("backfill/check_payload", {**run, "earliest_date": "2017-01-01"}),
        Step("backfill/release_payload", run),
        Step("backfill/select_batches", run),
        Step("sending/stage_batch", {**run, "batch_number": 1, "resends_attempt": None, "attempt": 1}),
        Step("sending/record_attempt", _attempt(1, 1, "succeeded", sync_run_id=1_002, records_rejected=0)),
        _brought_in(settings, f"run_id = '{RUN}' AND batch_number = 1"),
        Step("sending/select_rejections", run),
        Step("sending/select_accepted_after_rejection", run),
        Step("backfill/validate_payload", {**run, "asked_at": None}),
        Step("backfill/select_mismatches", {**run, "asked_at": None}),
        read_back(settings),
        Step("backfill/freeze_payload", {**_scope("mismatched"), "run_id": PILOT, "batch_size": 20}),
        Step("pilot/assign_pilot", {"run_id": PILOT, "sentinels": SENTINELS, "batch_size": 20}),
        Step("backfill/assign_batches", {"run_id": PILOT, "sizes": BATCHED}),
        Step("pilot/count_strata", {"run_id": PILOT, "sentinels": SENTINELS}),
        Step("pilot/select_pilot", {"run_id": PILOT, "sentinels": SENTINELS}),
        Step("pilot/count_shown", {"run_id": PILOT, "asked_at": None}),
        *_undo(settings, undo, batches),
        Step("backfill/select_other_runs", {"run_id": UNDO}),
        *_reconciliation(settings),
        *judging(settings),
    ]


def source_names(settings: Settings) -> dict[str, dict[str, Any]]:
    """What is rendered into the statements about the regular sync: a query as Census may have it, and its mappings."""
    values = {FieldKind.CHECKBOX: "FALSE"}
    by_field = {field.column: quoted(field.column) for field in settings.fields.features}
    features = "".join(
        f",\n            CAST({values.get(each.kind, 'NULL')} AS {each.kind.warehouse_type}) AS {each.column}"
        for each in settings.fields.features[:6]
    )
    columns = f"id AS `Property Id`, name, status, company_id, TRUE AS flag{features}"
    source = f"SELECT\n            {columns}\n        FROM {settings.properties_table}"
    mapped = MappedColumns(
        key="`Property Id`",
        property_id="`Property Id`",
        held_key=settings.fields.upsert_key.column,
        features=dict(list(by_field.items())[:6]),
        others=(
            OtherColumn("name", "Name", "name", "STRING", sends_null=True),
            OtherColumn("status", "Status__c", None, None, sends_null=True),
            OtherColumn("company_id", "Company__c", "id", "STRING", sends_null=False),
            OtherColumn("flag", "Flag__c", "is_deleted", "BOOLEAN", sends_null=True),
        ),
        has_name=True,
    )
    others = f"{OTHERS}.`name`,\n    {OTHERS}.`status`"
    return {
        "deployment/check_source_values": {"source": source, "mapped": mapped},
        "deployment/select_source_columns": {"source": source},
        "deployment/select_property_sync_with_others": {"others": source, "columns": others, "key": "`Property Id`"},
        "deployment/describe_source": {"table": settings.properties_table},
    }


def judging(settings: Settings) -> Script:
    """What is asked about the regular sync."""
    return [Step(statement, names=names) for statement, names in source_names(settings).items()]


def freezing(settings: Settings) -> Script:
    """The incident's records, frozen."""
    day = _scope("created_between", created_from="2025-11-21", created_to="2025-11-21")
    return [
        *_tables_of_an_older_version(settings),
        Step("backfill/count_scope", day),
        Step("backfill/freeze_payload", {**day, "run_id": RUN, "batch_size": 50}),
    ]


def looking(size: int) -> Script:
    """What a run and the weekly run ask of any world: what differs, is frozen, is counted by the guards, and may be undone."""
    run, scope = {"run_id": RUN}, _scope("all")
    return [
        Step("reconciliation/compare_systems"),
        *_compared("looking"),
        Step("reconciliation/select_differences", {"compared_by": "looking", "most": 10_000, "run_id": None, "asked_at": None}),
        Step("backfill/count_records_left_out", _scope("mismatched")),
        Step("backfill/count_scope", _scope("mismatched")),
        Step("backfill/freeze_payload", {**scope, **run, "batch_size": size}),
        Step("backfill/check_payload", {**run, "earliest_date": "2017-01-01"}),
        Step("backfill/validate_payload", {**run, "asked_at": None}),
        Step("backfill/count_undone_records", {"undo_run_id": RUN}),
        Step("deployment/select_property_sync"),
        Step("deployment/select_feature_sync"),
    ]


def _tables_of_an_older_version(settings: Settings) -> Script:
    """Our tables as `prepare_tables` makes them, first without the last column that earlier versions may lack."""
    steps: Script = []
    for table in own_tables(settings):
        names = {"table": table.name}
        columns = columns_of(settings, table.definition)
        last = [column for column in columns if column.name not in table.keys][-1]
        first = [column for column in columns if column != last]
        steps += [
            Step(
                "tables/create_table",
                names={
                    **names,
                    "columns": column_definitions(first),
                    "clustered_by": table.clustered_by,
                    "mark": table.mark_property,
                },
            ),
            Step("tables/add_columns", names={**names, "columns": column_definitions([last])}),
            Step("tables/describe_table", names=names),
            Step("tables/prove_write", names=names),
        ]
    steps.append(Step("tables/count_rows", names={"table": COPY, "synced_at": "MAX(_fivetran_synced)"}))
    steps += [
        Step("tables/measure_age", names={"table": COPY, "written_at": each, "undecided": undecided})
        for each, undecided in (("_fivetran_synced", "is_deleted IS NULL"), ("NULL", "FALSE"))
    ]
    return steps


def _reconciliation(settings: Settings) -> Script:
    week = "scheduled__2025-12-01"
    run = {"run_id": week}
    return [
        Change(f"UPDATE {COPY} SET reverse_etl_id_c = '{ANOTHER}' WHERE snappt_property_id_c = '{INCIDENT[20]}'"),
        Change(
            f"UPDATE {COPY} SET snappt_property_id_c = '1', reverse_etl_id_c = '1' WHERE snappt_property_id_c = '{INCIDENT[21]}'"
        ),
        Change(f"UPDATE {COPY} SET idv_only_enabled_c = TRUE WHERE snappt_property_id_c = '{INCIDENT[22]}'"),
        *_accepted(settings),
        Step("reconciliation/compare_systems"),
        *_compared(week),
        Step("reconciliation/select_acceptances", {"compared_by": week, "most": 20}),
        Step("backfill/count_scope", _scope("mismatched")),
        Step("backfill/count_records_left_out", _scope("mismatched")),
        Step("backfill/select_records_left_out", _scope("mismatched")),
        Step("reconciliation/record_drift", {"compared_by": "never"}),
        Step("reconciliation/record_drift", {"compared_by": week}),
        Step("reconciliation/record_drift", {"compared_by": week}),
        Step("reconciliation/select_drift", run),
        Step("reconciliation/select_drift_history", {"since": "2025-01-01T00:00:00+00:00"}),
        Step("reconciliation/select_unmatched_features"),
        *(Step("reconciliation/select_missing_records", {"compared_by": week, "most": each}) for each in (5, 1_000)),
        *(
            Step("reconciliation/select_differences", {"compared_by": week, "most": 100, "run_id": each, "asked_at": None})
            for each in (None, RUN)
        ),
        Step("deployment/select_property_sync"),
        Step("deployment/select_feature_sync"),
    ]


def _compared(run_id: str) -> Script:
    """What a reconciliation keeps of its look. Recording it twice changes nothing."""
    run = {"run_id": run_id}
    return [
        Step("reconciliation/delete_differences", run),
        Step("reconciliation/record_differences", run),
        Step("reconciliation/record_differences", run),
        Step("reconciliation/find_look", {"compared_by": run_id}),
        Step("reconciliation/measure_drift", {"compared_by": run_id}),
    ]


def _accepted(settings: Settings) -> Script:
    """Differences are accepted: by the form, by hand, for all products, wrongly, and for times that end at different days."""
    chosen = {"class": "wrongly_true", "ids": INCIDENT[22], "products": ""}
    mismatch = {"class": "key_mismatch", "ids": f"{INCIDENT[20]},1,{ANOTHER}", "products": ""}
    same = ", ".join(["class", "salesforce_id", *(key.column for key in settings.fields.keys)])
    table = settings.accepted_table

    def copied(run_id: str, product: str, reason: str, until: str, at: str = "current_timestamp()") -> Change:
        return Change(
            f"INSERT INTO {table} (run_id, {same}, product, reason, accepted_by, accepted_until, accepted_at) "
            f"SELECT '{run_id}', {same}, {product}, {reason}, 'Ada', {until}, {at} FROM {table} WHERE run_id = 'accepted'"
        )

    accepted = {"run_id": "accepted", "reason": "Größe, bekannt", "accepted_by": "Ada", "accepted_until": "2020-01-01"}
    soon = "CAST(current_date() + INTERVAL 7 DAYS AS DATE)"
    return [
        *(Step("reconciliation/select_chosen_differences", each) for each in (chosen, {**mismatch, "products": "idv_only"})),
        Step("reconciliation/record_acceptances", {**chosen, **accepted}),
        Step("reconciliation/record_acceptances", {**chosen, **accepted}),
        Step("reconciliation/record_acceptances", {**mismatch, **accepted}),
        *_compared("before"),
        Step("reconciliation/select_acceptances", {"compared_by": "before", "most": 20}),
        copied("no reason", "product", "' '", soon),
        copied("no end", "product", "'known'", "CAST(NULL AS DATE)"),
        copied("too long", "product", "'known'", "CAST('2999-01-01' AS DATE)"),
        copied("another product", "'no_product'", "'known'", soon),
        copied("all products", "CAST(NULL AS STRING)", "'known'", soon, "current_timestamp() - INTERVAL 5 SECONDS"),
    ]


def _undo(settings: Settings, undo: Parameters, batches: Parameters) -> Script:
    date, key = settings.fields.products[0].start.column, settings.fields.upsert_key.column
    return [
        Change(f"UPDATE {COPY} SET {date} = CAST('2025-01-01' AS DATE) WHERE {key} IN ('{INCIDENT[0]}', '{INCIDENT[1]}')"),
        Change(f"UPDATE {COPY} SET is_deleted = TRUE WHERE {key} LIKE '%3' AND NOT is_deleted"),
        Step("backfill/count_undone_records", undo),
        Step("backfill/select_records_not_undone", undo),
        Step("backfill/freeze_undo", {**undo, "run_id": UNDO, **batches}),
        Step("backfill/assign_batches", {"run_id": UNDO, "sizes": BATCHED}),
    ]


def _scope(
    scope: str,
    *,
    created_from: str | None = None,
    created_to: str | None = None,
    property_ids: str | None = None,
    skip_unmatched: bool = False,
) -> Parameters:
    return {
        "scope": scope,
        "created_from": created_from,
        "created_to": created_to,
        "property_ids": property_ids,
        "skip_unmatched": skip_unmatched,
    }


def _attempt(batch_number: int, attempt: int, status: str, **known: int | str | None) -> Parameters:
    ended = status != "sending"
    return {
        "run_id": RUN,
        "batch_number": batch_number,
        "attempt": attempt,
        "series": 0,
        "status": status,
        "records": 50,
        "resends_attempt": None,
        "previous_sync_run_id": None,
        "sync_run_id": None,
        "records_updated": 45 if ended else None,
        "records_failed": 5 if ended else None,
        "records_invalid": 0 if ended else None,
        "records_rejected": None,
        "records_changed": None,
        "replica_synced_at": "2025-11-24T00:30:00+00:00",
        "reason": None,
        "run_started_at": f"2025-11-24T0{attempt}:59:59.999999+00:00" if ended else None,
        "run_ended_at": f"2025-11-24T0{attempt + 1}:00:01+00:00" if ended else None,
        **known,
    }


def _rejections(reason: str, keys: list[str] = REFUSED) -> str:
    """Of every batch: those of another one than is asked for must not matter."""
    return as_lines([(key, f"{reason} ({key})") for key in keys])


def _brought_in(settings: Settings, which: str) -> Change:
    """The payload's records ``which`` reach Salesforce, and from there the replica."""
    values = ", ".join(f"{each.column} = sent.{each.column}" for each in settings.fields.features)
    moment = "CAST('2025-11-24T02:00:00Z' AS TIMESTAMP)"
    return Change(
        f"MERGE INTO {COPY} AS copy USING (SELECT * FROM {settings.payload_table} WHERE {which}) AS sent "
        f"ON copy.id = sent.salesforce_id "
        f"WHEN MATCHED THEN UPDATE SET {values}, system_modstamp = {moment}, _fivetran_synced = {moment}"
    )


def script_for(settings: Settings) -> Script:
    """What a variant of the settings is tried on: every statement if all of them depend on it, as on the kind of the flags."""
    return script(settings) if settings.fields.flag_type is FlagType.NUMBER else short_script(settings)


def adapt(engine: Engine, settings: Settings) -> None:
    """Change the tables that are read to what the settings say of them, with some values that only such tables can have."""
    with engine.writing() as cursor:
        for column in sorted(settings.datetime_fields):
            cursor.execute(f"ALTER TABLE {COPY} ALTER COLUMN {column} TYPE TIMESTAMPTZ")
            cursor.execute(f"UPDATE {COPY} SET {column} = {column} + INTERVAL 86399900 MILLISECOND WHERE id LIKE '%A'")
        for table, column in (
            (settings.properties_table, settings.properties_deleted_column),
            (settings.features_table, settings.features_deleted_column),
        ):
            if column:
                cursor.execute(f"ALTER TABLE {table} ADD COLUMN {column} BOOLEAN")
                key = "CAST(id AS VARCHAR)" if table == settings.properties_table else "property_id"
                cursor.execute(f"UPDATE {table} SET {column} = ({key} LIKE '%1') WHERE {key} LIKE '%0' OR {key} LIKE '%1'")
        if order := settings.features_order_column:
            cursor.execute(f"ALTER TABLE {settings.features_table} ADD COLUMN {order} TIMESTAMPTZ")
            cursor.execute(f"UPDATE {settings.features_table} SET {order} = fraud_updated_at")
        if settings.fields.flag_type is FlagType.NUMBER:
            for flag in (product.enabled.source for product in settings.fields.products):
                cursor.execute(f"ALTER TABLE {settings.features_table} ALTER COLUMN {flag} TYPE INTEGER")
                cursor.execute(f"UPDATE {settings.features_table} SET {flag} = 2 WHERE property_id = '{INCIDENT[30]}'")
