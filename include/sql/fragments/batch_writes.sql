-- What runs of ours have written to the records of `batch`, or may have written. Each write has the values that it sent.
WITH attempted AS (
{% filter indent(4, first=true) %}{% include "fragments/attempted_records.sql" %}{% endfilter +%}
)

SELECT
    attempted.run_id,
    attempted.salesforce_id,
    attempted.run_ended_at,
    sent.{{ fields.features | map(attribute="column") | join(",\n    sent.") }}
FROM attempted
INNER JOIN {{ settings.payload_table }} AS sent
    ON sent.run_id = attempted.run_id AND sent.record_number = attempted.record_number
WHERE
    attempted.sync_run_id IS NOT NULL
    AND attempted.salesforce_id IN (SELECT batch.salesforce_id FROM batch)
