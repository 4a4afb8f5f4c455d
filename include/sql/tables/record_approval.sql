{% from "macros.sql" import assign, insert_missing %}
{% set columns = columns_of("approval") %}
{% set key = ["run_id", "dag_id", "task_id", "asked_at"] %}
-- A question to a person, and its answer. Executing it twice leaves one row.
MERGE INTO {{ settings.approval_table }} AS known
USING (
    SELECT
{% for column in columns %}
        CAST(:{{ column.name }} AS {{ column.type }}) AS {{ column.name }}{{ "," if not loop.last }}
{% endfor %}
) AS source
    ON known.run_id = source.run_id
    AND known.dag_id = source.dag_id
    AND known.task_id = source.task_id
    AND known.asked_at = source.asked_at
WHEN MATCHED THEN UPDATE SET
    {{ assign(columns | map(attribute="name") | reject("in", key) | list, "source") | indent(4) }}
{{ insert_missing(columns | map(attribute="name") | list, "source") }}
