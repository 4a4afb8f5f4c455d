-- Ids asked for that no record in Salesforce has, at most 20 of them, and how many there are.
SELECT
    requested.property_id,
    COUNT(*) OVER () AS unknown
FROM (SELECT explode(split(:property_ids, ',')) AS property_id) AS requested
LEFT JOIN {{ settings.salesforce_table }} AS salesforce
    ON salesforce.{{ fields.property_id.column }} = requested.property_id AND NOT salesforce.is_deleted
WHERE salesforce.id IS NULL
ORDER BY requested.property_id
LIMIT 20
