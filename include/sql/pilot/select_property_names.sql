-- What people call the properties of the pilot.
SELECT
    CAST(properties.id AS STRING) AS property_id,
    MIN(CAST(properties.name AS STRING)) AS name
FROM {{ settings.properties_table }} AS properties
INNER JOIN {{ settings.payload_table }} AS payload
    ON payload.{{ fields.property_id.column }} = CAST(properties.id AS STRING)
WHERE payload.run_id = :run_id AND payload.batch_number = 1
GROUP BY CAST(properties.id AS STRING)
