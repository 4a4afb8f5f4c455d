-- Every record in Salesforce beside what the warehouse says it should hold: column x_c is the warehouse's value,
-- before_x_c the one in Salesforce. A key mismatch is a record whose two keys name different properties, or one that shares its
-- property with another record or has two feature rows. The join of the features is the one whose absence caused the incident.
SELECT
    salesforce.id AS salesforce_id,
    salesforce.created_date,
    {% if settings.parent_column %}
    CAST(properties.{{ settings.parent_column }} AS STRING) AS parent_id,
    {% else %}
    CAST(NULL AS STRING) AS parent_id,
    {% endif %}
    properties.id IS NOT NULL AS has_property,
    salesforce.{{ fields.property_id.column }} IS DISTINCT FROM salesforce.{{ fields.upsert_key.column }}
    OR (
        salesforce.{{ fields.property_id.column }} IS NOT NULL
        AND COUNT(*) OVER (PARTITION BY salesforce.{{ fields.property_id.column }}) > 1
    ) AS key_mismatch,
    features.property_id IS NOT NULL AS has_feature_row,
    salesforce.{{ fields.property_id.column }},
    salesforce.{{ fields.upsert_key.column }},
    {% for field in fields.features %}
    salesforce.{{ field.column }} AS before_{{ field.column }},
    {% endfor %}
{% include "fragments/feature_values.sql" +%}
FROM {{ settings.salesforce_table }} AS salesforce
LEFT JOIN {{ settings.properties_table }} AS properties
    ON CAST(properties.id AS STRING) = salesforce.{{ fields.property_id.column }}
{% include "fragments/feature_join.sql" +%}
WHERE NOT salesforce.is_deleted
