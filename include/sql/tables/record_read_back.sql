{% from "macros.sql" import cell, insert_missing, lines_of %}
{% set columns = columns_of("read_back") %}
{% set of_look = ["run_id", "purpose", "read_at"] %}
{% set of_record = columns | rejectattr("name", "in", of_look) | list %}
-- What Salesforce held when it was asked at :read_at. :records is one text, because a statement takes at most 256 parameters:
-- records are separated by chr(30), values by chr(31). An empty value is NULL.
MERGE INTO {{ settings.read_back_table }} AS known
USING (
    WITH lines AS (
        {{ lines_of(":records") }}
    )

    SELECT
        CAST(:run_id AS STRING) AS run_id,
        CAST(:purpose AS STRING) AS purpose,
        CAST(:read_at AS TIMESTAMP) AS read_at
{%- for column in of_record %},
        CAST(NULLIF({{ cell(loop.index) }}, '') AS {{ column.type }}) AS {{ column.name }}
{%- endfor +%}
    FROM lines
) AS source
    ON known.run_id = source.run_id
    AND known.read_at = source.read_at
    AND known.salesforce_id = source.salesforce_id
{{ insert_missing(columns | map(attribute="name") | list, "source") }}
