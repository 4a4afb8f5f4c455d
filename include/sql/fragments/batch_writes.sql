{% from "macros.sql" import was_accepted %}
-- What runs of ours have written to the records of `batch`, or may have written. Each write has the values that it sent.
-- is_probable: Census has said so of the record, or its run may still go on. Otherwise nobody can say whether anything was written.
WITH attempted AS (
{% filter indent(4, first=true) %}{% include "fragments/attempted_records.sql" %}{% endfilter +%}
)

SELECT
    attempted.run_id,
    attempted.salesforce_id,
    attempted.frozen_at,
    COALESCE(attempted.closed_at, attempted.opened_at) AS known_at,
    attempted.run_ended_at,
    attempted.status = 'sending'
    OR {{ was_accepted("attempted") }}
    AS is_probable,
    sent.{{ fields.features | map(attribute="column") | join(",\n    sent.") }}
FROM attempted
INNER JOIN {{ settings.payload_table }} AS sent
    ON sent.run_id = attempted.run_id AND sent.record_number = attempted.record_number
WHERE
    attempted.sync_run_id IS NOT NULL
    AND attempted.salesforce_id IN (SELECT batch.salesforce_id FROM batch)
