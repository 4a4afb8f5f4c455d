-- Requested ids that no record in Salesforce has: at most 20 of them, and how many there are.
WITH requested AS (
    SELECT explode(split(:property_ids, ',')) AS property_id
)

SELECT
    requested.property_id,
    COUNT(*) OVER () AS unknown
FROM requested
LEFT JOIN {{ settings.salesforce_table }} AS salesforce
    ON salesforce.{{ fields.property_id.column }} = requested.property_id AND NOT salesforce.is_deleted
WHERE salesforce.id IS NULL
ORDER BY requested.property_id
LIMIT 20
