-- Each batch of a run with the range of its records. siblings: records beyond the first of each parent.
-- change: how many more records have the product after the batch than before it. It is negative if fewer have it.
-- A flag that the replica did not know counts as not enabled, as in summarize_payload.
SELECT
    batch_number AS number,
    MIN(record_number) AS first,
    MAX(record_number) AS last,
    COUNT(*) AS records,
    COUNT(parent_id) - COUNT(DISTINCT parent_id) AS siblings
{%- for product in fields.products %}
{%- set flag = product.enabled.column %},
    COUNT_IF({{ flag }}) - COUNT_IF(before_{{ flag }}) AS {{ product.name }}_change
{%- endfor +%}
FROM {{ settings.payload_table }}
WHERE run_id = :run_id
GROUP BY batch_number
ORDER BY batch_number
