-- Records of the run to undo that are left as they are. changed_fields: where Salesforce holds something else than that run sent.
SELECT
    {{ fields.property_id.column }},
    {{ fields.upsert_key.column }},
    undo_state AS reason,
    changed_fields
FROM (
    {% include "fragments/undone_records.sql" %}
) AS undone
WHERE undo_state <> 'to_undo'
ORDER BY {{ fields.upsert_key.column }}
