-- When the newest row of a table was written. A time in the future says nothing, so it does not count.
-- undecided: rows of which nobody can say whether they count at all.
WITH rows_of_table AS (
    SELECT
        CAST({{ written_at }} AS TIMESTAMP) AS written_at,
        {{ undecided }} AS is_undecided
    FROM {{ table }}
)

SELECT
    MAX(CASE WHEN written_at <= current_timestamp() THEN written_at END) AS newest_at,
    COUNT_IF(is_undecided) AS undecided,
    current_timestamp() AS checked_at
FROM rows_of_table
