{% set column = settings.twin_column or "sfdc_id" %}
{% set twin = "NULLIF(trim(CAST(properties." ~ column ~ " AS STRING)), '')" %}
-- How many objects several properties share, and how many properties that are.
WITH shared AS (
    SELECT COUNT(DISTINCT properties.id) AS properties
    FROM {{ settings.properties_table }} AS properties
    WHERE
        {{ twin }} IS NOT NULL
{% if settings.placeholder_sfdc_ids %}
        AND NOT {{ twin }} RLIKE '^({{ settings.placeholder_sfdc_ids }})$'
{% endif %}
{% if settings.properties_deleted_column %}
        AND NOT COALESCE(properties.{{ settings.properties_deleted_column }}, FALSE)
{% endif %}
    GROUP BY {{ twin }}
    HAVING COUNT(DISTINCT properties.id) > 1
)

SELECT
    COUNT(*) AS objects,
    SUM(properties) AS properties
FROM shared
