-- Records of the run to undo that stay as they are, and why. changed_fields: where Salesforce holds another value than that run
-- sent.
WITH undone AS (
{% filter indent(4, first=true) %}{% include "fragments/undone_records.sql" %}{% endfilter +%}
)

SELECT
{% for key in fields.keys %}
    {{ key.column }},
{% endfor %}
    undo_state AS reason,
    changed_fields
FROM undone
WHERE undo_state <> 'to_undo'
ORDER BY {{ fields.upsert_key.column }}
