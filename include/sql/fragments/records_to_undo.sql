{% from "macros.sql" import only_rows_with %}
-- The records of the run to undo that may be undone.
WITH undone AS (
{% filter indent(4, first=true) %}{% include "fragments/undone_records.sql" %}{% endfilter +%}
)

SELECT
    undone.*,
    TRUE AS is_undo,
    {{ only_rows_with("undone.undo_state = 'to_undo'") }} AS is_chosen
FROM undone
