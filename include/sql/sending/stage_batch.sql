-- The batch in flight and nothing else: this table is what Census reads. run_id and batch_number are not mapped.
-- Records that the attempt :attempt leaves out are not in it.
-- Overwriting keeps the table and its mark, and needs no other right than the other statements that write.
INSERT OVERWRITE {{ settings.batch_table }} (
    {{ fields | map(attribute="column") | join(",\n    ") }},
    run_id,
    batch_number
)
WITH batch AS (
{% filter indent(4, first=true) %}{% include "fragments/batch_records.sql" %}{% endfilter +%}
),

marked AS (
{% filter indent(4, first=true) %}{% include "fragments/marked_records.sql" %}{% endfilter +%}
)

SELECT
    batch.{{ fields | map(attribute="column") | join(",\n    batch.") }},
    batch.run_id,
    batch.batch_number
FROM batch
LEFT JOIN marked
    ON marked.{{ fields.upsert_key.column }} = batch.{{ fields.upsert_key.column }}
WHERE marked.{{ fields.upsert_key.column }} IS NULL
