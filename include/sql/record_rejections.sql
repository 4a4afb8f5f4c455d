-- Rows that an attempt did not bring into Salesforce. :rejections is one text: rows separated by chr(30), key and reason by
-- chr(31), because a statement takes at most 256 parameters.
MERGE INTO {{ settings.rejection_table }} AS known
USING (
    SELECT
        CAST(:run_id AS STRING) AS run_id,
        CAST(:batch_number AS INT) AS batch_number,
        CAST(:attempt AS INT) AS attempt,
        split_part(line, chr(31), 1) AS {{ fields.upsert_key.column }},
        split_part(line, chr(31), 2) AS reason
    FROM (SELECT explode(split(:rejections, chr(30))) AS line) AS lines
) AS source
    ON known.run_id = source.run_id
    AND known.batch_number = source.batch_number
    AND known.attempt = source.attempt
    AND known.{{ fields.upsert_key.column }} = source.{{ fields.upsert_key.column }}
WHEN MATCHED THEN UPDATE SET reason = source.reason
WHEN NOT MATCHED THEN INSERT (run_id, batch_number, attempt, {{ fields.upsert_key.column }}, reason)
VALUES (source.run_id, source.batch_number, source.attempt, source.{{ fields.upsert_key.column }}, source.reason)
