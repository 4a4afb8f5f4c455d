-- How many records in Salesforce a run with scope mismatched looks at.
SELECT COUNT(*) AS records
FROM {{ settings.salesforce_table }}
WHERE NOT is_deleted
