-- The batch in flight and nothing else: this table is what Census reads. run_id and batch_number are not mapped.
-- Overwriting keeps the table and its mark, and needs no other right than the other statements that write.
INSERT OVERWRITE {{ settings.batch_table }} (
    {{ fields | map(attribute="column") | join(",\n    ") }},
    run_id,
    batch_number
)
WITH batch AS (
{% filter indent(4, first=true) %}{% include "fragments/batch_records.sql" %}{% endfilter +%}
)

SELECT
    {{ fields | map(attribute="column") | join(",\n    ") }},
    run_id,
    batch_number
FROM batch
