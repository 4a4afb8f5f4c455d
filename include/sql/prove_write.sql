-- Changes nothing, but fails without the right to change the table.
DELETE FROM {{ table }} WHERE FALSE
