-- The id of each property that the replication has not deleted, whatever its status is.
SELECT DISTINCT CAST(properties.id AS STRING) AS property_id
FROM {{ settings.properties_table }} AS properties
{%- if settings.properties_deleted_column %}

WHERE NOT COALESCE(properties.{{ settings.properties_deleted_column }}, FALSE)
{%- endif %}
