-- An older version of this package created the table without these columns.
ALTER TABLE {{ table }} ADD COLUMNS (
{% filter indent(4, first=true) %}{{ columns }}{% endfilter +%}
)
