run_id STRING,
batch_number INT,
attempt INT,
{{ fields.upsert_key.column }} STRING,
reason STRING
