-- The records of the run to undo that may be undone.
-- The filter runs in a sub-query that returns ids only (SPARK-33152, see fragments/records_in_scope.sql).
WITH undone AS (
{% filter indent(4, first=true) %}{% include "fragments/undone_records.sql" %}{% endfilter +%}
)

SELECT
    to_undo.*,
    TRUE AS is_undo
FROM undone AS to_undo
WHERE to_undo.salesforce_id IN (
    SELECT undone.salesforce_id
    FROM undone
    WHERE undone.undo_state = 'to_undo'
)
