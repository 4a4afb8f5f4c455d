-- The id of each property that is in the properties table more than once.
SELECT CAST(properties.id AS STRING) AS property_id
FROM {{ settings.properties_table }} AS properties
{% if settings.properties_deleted_column %}
WHERE NOT COALESCE(properties.{{ settings.properties_deleted_column }}, FALSE)
{% endif %}
GROUP BY CAST(properties.id AS STRING)
HAVING COUNT(*) > 1
