-- Every record in Salesforce beside what the warehouse says it should hold: column x_c is the warehouse's value,
-- before_x_c the one in Salesforce. The second LEFT JOIN is the one whose absence caused the incident of 2025-11-21.
-- A property without a feature row has no product; a feature row with an empty flag stays NULL, for the guards to refuse.
SELECT
    salesforce.id AS salesforce_id,
    salesforce.created_date,
    {% if settings.parent_column %}
    CAST(properties.{{ settings.parent_column }} AS STRING) AS parent_id,
    {% else %}
    CAST(NULL AS STRING) AS parent_id,
    {% endif %}
    features.property_id IS NOT NULL AS has_feature_row,
    salesforce.{{ fields.property_id.column }},
    salesforce.{{ fields.upsert_key.column }}
{%- for field in fields.features %},
    {% if field.kind == "checkbox" %}
    CASE WHEN features.property_id IS NULL THEN FALSE ELSE features.{{ field.source }} END AS {{ field.column }},
    {% else %}
    CAST(features.{{ field.source }} AS {{ field.kind.warehouse_type }}) AS {{ field.column }},
    {% endif %}
    salesforce.{{ field.column }} AS before_{{ field.column }}
{%- endfor %}

FROM {{ settings.salesforce_table }} AS salesforce
LEFT JOIN {{ settings.properties_table }} AS properties
    ON CAST(properties.id AS STRING) = salesforce.{{ fields.property_id.column }}
LEFT JOIN {{ settings.features_table }} AS features
    ON CAST(properties.id AS STRING) = features.property_id
WHERE NOT salesforce.is_deleted
