-- An older version of this package made the table without them.
ALTER TABLE {{ table }} ADD COLUMNS (
{{ columns }}
)
