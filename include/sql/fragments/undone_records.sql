{% from "macros.sql" import all_of, any_of %}
{% set flags = fields.products | map(attribute="enabled") | list %}
-- Every record of the run to undo, and whether it may be undone (undo_state).
-- x_c is the value to send back, the one from before this run. salesforce_x_c is the value that Salesforce holds now.
-- A record may be undone only if Salesforce still holds exactly what this run wrote. Later edits stay, and so do records that
-- this run planned but never sent. If the replica did not know a flag before the run, nobody can say what to send back: False would
-- be a guess.
WITH written AS (
{% filter indent(4, first=true) %}{% include "fragments/written_records.sql" %}{% endfilter +%}
),

facts AS (
    SELECT
        payload.salesforce_id,
        payload.parent_id,
        payload.has_feature_row,
        payload.property_name,
        payload.{{ fields.keys | map(attribute="column") | join(",\n        payload.") }}
{%- for field in fields.features %},
        payload.before_{{ field.column }} AS {{ field.column }}
{%- endfor %}
{%- for field in fields.features %},
        salesforce.{{ field.column }} AS salesforce_{{ field.column }}
{%- endfor %},
        salesforce.id IS NULL AS is_gone,
        written.{{ fields.upsert_key.column }} IS NOT NULL AS was_written,
        {{ all_of(fields.features, "salesforce.{} IS NOT DISTINCT FROM payload.before_{}") | indent(8) }}
        AS is_as_before,
        {{ any_of(flags, "payload.before_{} IS NULL") | indent(8) }}
        AS is_before_unknown,
        concat_ws(
            ', '
{%- for field in [fields.upsert_key] + (fields.features | list) %},
            CASE
                WHEN salesforce.{{ field.column }} IS DISTINCT FROM payload.{{ field.column }}
                    THEN '{{ field.column }}'
            END
{%- endfor +%}
        ) AS changed_fields
    FROM {{ settings.payload_table }} AS payload
    LEFT JOIN {{ settings.salesforce_table }} AS salesforce
        ON salesforce.id = payload.salesforce_id AND NOT salesforce.is_deleted
    LEFT JOIN written
        ON written.{{ fields.upsert_key.column }} = payload.{{ fields.upsert_key.column }}
    WHERE payload.run_id = :undo_run_id
)

SELECT
    facts.*,
    CASE
        WHEN is_gone THEN 'gone'
        WHEN was_written AND is_before_unknown THEN 'before_unknown'
        WHEN is_as_before THEN 'as_before'
        WHEN NOT was_written THEN 'not_sent'
        WHEN changed_fields = '' THEN 'to_undo'
        ELSE 'changed_since'
    END AS undo_state
FROM facts
