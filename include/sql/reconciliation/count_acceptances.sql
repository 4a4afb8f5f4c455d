-- How many entries the table of accepted differences has.
SELECT COUNT(*) AS entries
FROM {{ settings.accepted_table }}
