-- The last attempt at the batch :batch_number of a run, or at each of its batches if :batch_number is NULL.
WITH last_attempts AS (
{% filter indent(4, first=true) %}{% include "fragments/last_attempts.sql" %}{% endfilter +%}
)

SELECT
    seen_at,
    batch_records,
    {{ columns_of("sync_log") | map(attribute="name") | join(",\n    ") }}
FROM last_attempts
WHERE :batch_number IS NULL OR batch_number = CAST(:batch_number AS INT)
ORDER BY batch_number
