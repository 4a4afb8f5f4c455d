WITH undone AS (
{% filter indent(4, first=true) %}{% include "fragments/undone_records.sql" %}{% endfilter +%}
)

SELECT
    COUNT(*) AS records,
    COUNT_IF(undo_state = 'to_undo') AS to_undo,
    COUNT_IF(undo_state = 'as_before') AS as_before,
    COUNT_IF(undo_state = 'not_sent') AS not_sent,
    COUNT_IF(undo_state = 'changed_since') AS changed_since,
    COUNT_IF(undo_state = 'gone') AS gone,
    COUNT_IF(undo_state = 'before_unknown') AS before_unknown
FROM undone
