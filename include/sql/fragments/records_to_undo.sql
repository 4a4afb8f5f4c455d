SELECT undone.*
FROM (
    {% include "fragments/undone_records.sql" %}
) AS undone
WHERE undone.undo_state = 'to_undo'
