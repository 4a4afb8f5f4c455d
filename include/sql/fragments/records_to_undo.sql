-- Chosen by a query of their own for the reason told in records_in_scope.sql.
SELECT to_undo.*
FROM (
    {% include "fragments/undone_records.sql" %}
) AS to_undo
WHERE to_undo.salesforce_id IN (
    SELECT undone.salesforce_id
    FROM (
        {% include "fragments/undone_records.sql" %}
    ) AS undone
    WHERE undone.undo_state = 'to_undo'
)
