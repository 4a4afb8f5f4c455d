{% from "macros.sql" import assign, insert_missing %}
{% set columns = columns_of("sync_log") | map(attribute="name") | list %}
{% set clock = ["opened_at", "closed_at"] %}
{% set key = ["run_id", "batch_number", "attempt"] %}
{% set fixed = ["opened_at", "records", "resends_attempt", "previous_sync_run_id"] %}
-- What is known of one attempt at one batch. Executing it twice leaves one row.
-- The warehouse's clock says when an attempt was opened and closed. While it is sending, it is not closed.
MERGE INTO {{ settings.sync_log_table }} AS sync_log
USING (
    SELECT
        current_timestamp() AS opened_at,
        CASE WHEN :status = 'sending' THEN CAST(NULL AS TIMESTAMP) ELSE current_timestamp() END AS closed_at
{%- for column in columns_of("sync_log") if column.name not in clock %},
        CAST(:{{ column.name }} AS {{ column.type }}) AS {{ column.name }}
{%- endfor +%}
) AS source
    ON sync_log.run_id = source.run_id AND sync_log.batch_number = source.batch_number AND sync_log.attempt = source.attempt
-- The id of the Census run stays once it is known. What the attempt began with does not change.
WHEN MATCHED THEN UPDATE SET
    sync_run_id = COALESCE(source.sync_run_id, sync_log.sync_run_id),
    {{ assign(columns | reject("in", key + fixed + ["sync_run_id"]), "source") | indent(4) }}
{{ insert_missing(columns, "source") }}
