-- No row, but all columns of what a sync reads.
SELECT source.*
FROM (
    {{ source }}
) AS source
LIMIT 0
