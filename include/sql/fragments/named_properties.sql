-- Each property_id that the feature table has, as it is written there.
SELECT DISTINCT CAST(features.property_id AS STRING) AS property_id
FROM {{ settings.features_table }} AS features
{%- if settings.features_deleted_column %}

WHERE NOT COALESCE(features.{{ settings.features_deleted_column }}, FALSE)
{%- endif %}
