{% set times = fields.features | selectattr("kind", "equalto", "datetime") | map(attribute="column") | list %}
{# Why a field differs, by what the warehouse knows. feature_sync/salesforce/causes.py has the table of facts and causes.
   `found` is a difference, `sent` its row of sent_fields.sql. #}
CASE
    WHEN found.known_cause IS NOT NULL THEN found.known_cause
{% if times %}
    WHEN
        found.field IN (
            '{{ times | join("',\n            '") }}'
        )
        AND substring(found.in_salesforce_value, 1, 19) = substring(found.in_warehouse_value, 1, 19)
        THEN 'representation_only'
{% endif %}
    WHEN sent.salesforce_id IS NULL THEN 'never_sent'
    WHEN sent.outcome IS NULL THEN 'not_known'
    WHEN sent.outcome = 'rejected' THEN 'rejected'
    WHEN sent.is_undo AND found.in_salesforce_value IS NOT DISTINCT FROM sent.sent_value THEN 'undone'
    WHEN
        NOT sent.is_undo
        AND found.is_source_known
        AND found.source_value IS DISTINCT FROM sent.sent_value
        AND (
            found.in_salesforce_value IS NOT DISTINCT FROM sent.sent_value
            OR (sent.is_shown AND found.in_salesforce_value IS NOT DISTINCT FROM found.source_value)
        )
        THEN 'moved_in_source'
    WHEN found.in_salesforce_value IS NOT DISTINCT FROM sent.sent_value OR NOT sent.is_shown THEN 'not_known'
    WHEN sent.is_before_known AND found.in_salesforce_value IS DISTINCT FROM sent.before_value THEN 'edited_in_salesforce'
    WHEN sent.changed_at < sent.run_started_at THEN 'not_written'
    WHEN sent.has_arrived AND sent.has_field_arrived THEN 'edited_in_salesforce'
    ELSE 'not_known'
END
