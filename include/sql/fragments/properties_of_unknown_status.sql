-- Properties whose status is in no setting. Nobody can say whether they belong in Salesforce.
SELECT
    CAST(properties.id AS STRING) AS {{ fields.property_id.column }},
    upper(trim(properties.status)) AS status
FROM {{ settings.properties_table }} AS properties
WHERE
    upper(trim(COALESCE(properties.status, ''))) NOT IN (
        '{{ settings.all_known_statuses | join("',\n        '") }}'
    )
{%- if settings.properties_deleted_column %}

    AND NOT COALESCE(properties.{{ settings.properties_deleted_column }}, FALSE)
{%- endif %}
