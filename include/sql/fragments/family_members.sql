{% set twin = "NULLIF(trim(CAST(properties." ~ settings.twin_column ~ " AS STRING)), '')" %}
-- Each property with its twin: what it shares with its siblings. An empty value is shared with nobody.
SELECT
    CAST(properties.id AS STRING) AS property_id,
{% if settings.placeholder_sfdc_ids %}
    MIN(
        CASE
            WHEN {{ twin }} RLIKE '^({{ settings.placeholder_sfdc_ids }})$' THEN NULL
            ELSE {{ twin }}
        END
    ) AS twin,
{% else %}
    MIN({{ twin }}) AS twin,
{% endif %}
    COUNT_IF(upper(trim(properties.status)) = 'ACTIVE') > 0 AS is_active
FROM {{ settings.properties_table }} AS properties
{% if settings.properties_deleted_column %}
WHERE NOT COALESCE(properties.{{ settings.properties_deleted_column }}, FALSE)
{% endif %}
GROUP BY CAST(properties.id AS STRING)
