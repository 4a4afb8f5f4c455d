-- Changes nothing, but fails if we may not write to the table.
DELETE FROM {{ table }} WHERE FALSE
