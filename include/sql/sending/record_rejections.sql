{% from "macros.sql" import cell, insert_missing, lines_of %}
-- Records that an attempt left rejected. :rejections is one text, because a statement takes at most 256 parameters:
-- rows are separated by chr(30), key and reason by chr(31).
MERGE INTO {{ settings.rejection_table }} AS known
USING (
    WITH lines AS (
        {{ lines_of(":rejections") }}
    )

    SELECT
        CAST(:run_id AS STRING) AS run_id,
        CAST(:batch_number AS INT) AS batch_number,
        CAST(:attempt AS INT) AS attempt,
        {{ cell(1) }} AS {{ fields.upsert_key.column }},
        {{ cell(2) }} AS reason
    FROM lines
) AS source
    ON known.run_id = source.run_id
    AND known.batch_number = source.batch_number
    AND known.attempt = source.attempt
    AND known.{{ fields.upsert_key.column }} = source.{{ fields.upsert_key.column }}
WHEN MATCHED THEN UPDATE SET reason = source.reason
{{ insert_missing(columns_of("rejection") | map(attribute="name") | list, "source") }}
