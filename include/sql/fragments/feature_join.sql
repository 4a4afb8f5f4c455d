{# The join whose absence caused the incident of 2025-11-21. #}
LEFT JOIN feature_rows AS features
    ON CAST(properties.id AS STRING) = features.property_id
