-- When the newest row of a table was written. A time in the future says nothing, so it does not count.
WITH times AS (
    SELECT CAST({{ written_at }} AS TIMESTAMP) AS written_at
    FROM {{ table }}
)

SELECT
    MAX(CASE WHEN written_at <= current_timestamp() THEN written_at END) AS newest_at,
    current_timestamp() AS checked_at
FROM times
