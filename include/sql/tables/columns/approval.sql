run_id STRING,
dag_id STRING,
task_id STRING,
question STRING,
asked_at TIMESTAMP,
answer STRING,
answered_by STRING,
answered_at TIMESTAMP
