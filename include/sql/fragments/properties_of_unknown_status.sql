-- Properties whose status is empty, or in no setting. Nobody can say whether they belong in Salesforce.
SELECT
    CAST(properties.id AS STRING) AS {{ fields.property_id.column }},
    upper(trim(properties.status)) AS status
FROM {{ settings.properties_table }} AS properties
WHERE
    NOT COALESCE(
        upper(trim(properties.status)) IN (
            '{{ settings.all_known_statuses | join("',\n            '") }}'
        ),
        FALSE
    )
{%- if settings.properties_deleted_column %}

    AND NOT COALESCE(properties.{{ settings.properties_deleted_column }}, FALSE)
{%- endif %}
