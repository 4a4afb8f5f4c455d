-- The ids of all properties that the replication has not deleted, whatever their status is. An id that the table has twice is here once.
SELECT DISTINCT CAST(properties.id AS STRING) AS property_id
FROM {{ settings.properties_table }} AS properties
{% if settings.properties_deleted_column %}
WHERE NOT COALESCE(properties.{{ settings.properties_deleted_column }}, FALSE)
{% endif %}
