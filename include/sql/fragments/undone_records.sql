-- Every record of the run to undo: column x_c is the value that stood in Salesforce before it, before_x_c the one there now.
-- Only where that is still what the run brought in may it be taken back; a value that somebody has written since stays, and so does
-- that of another run which this one only would have sent.
SELECT
    former.salesforce_id,
    former.parent_id,
    former.has_feature_row,
    former.{{ fields.property_id.column }},
    former.{{ fields.upsert_key.column }},
    {% for field in fields.features %}
    {% if field.kind == "checkbox" %}
    COALESCE(former.before_{{ field.column }}, FALSE) AS {{ field.column }},
    {% else %}
    former.before_{{ field.column }} AS {{ field.column }},
    {% endif %}
    copy.{{ field.column }} AS before_{{ field.column }},
    {% endfor %}
    concat_ws(
        ', '
        {%- for field in [fields.upsert_key] + (fields.features | list) %},
        CASE WHEN copy.{{ field.column }} IS DISTINCT FROM former.{{ field.column }} THEN '{{ field.column }}' END
        {%- endfor %}

    ) AS changed_fields,
    CASE
        WHEN copy.id IS NULL THEN 'gone'
        WHEN
            {% for field in fields.features %}
            {{ "AND " if not loop.first }}copy.{{ field.column }} IS NOT DISTINCT FROM former.before_{{ field.column }}
            {% endfor %}
            THEN 'as_before'
        WHEN NOT COALESCE(former.{{ fields.upsert_key.column }} IN (
            SELECT brought_in.{{ fields.upsert_key.column }}
            FROM (
                {% include "fragments/brought_in_records.sql" %}
            ) AS brought_in
        ), FALSE) THEN 'not_sent'
        WHEN
            copy.{{ fields.upsert_key.column }} IS NOT DISTINCT FROM former.{{ fields.upsert_key.column }}
            {% for field in fields.features %}
            AND copy.{{ field.column }} IS NOT DISTINCT FROM former.{{ field.column }}
            {% endfor %}
            THEN 'to_undo'
        ELSE 'changed_since'
    END AS undo_state
FROM {{ settings.payload_table }} AS former
LEFT JOIN {{ settings.salesforce_table }} AS copy
    ON copy.id = former.salesforce_id AND NOT copy.is_deleted
WHERE former.run_id = :undo_run_id
