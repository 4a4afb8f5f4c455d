-- The keys of the records that the run to undo wrote to Salesforce, or may have written.
-- If the outcome of an attempt is not known for sure, its records may have been written.
WITH attempted AS (
{% filter indent(4, first=true) %}{% include "fragments/attempted_records.sql" %}{% endfilter +%}
)

SELECT DISTINCT attempted.{{ fields.upsert_key.column }}
FROM attempted
WHERE
    attempted.run_id = :undo_run_id
    AND attempted.sync_run_id IS NOT NULL
