-- The property is our mark: a table without it is never changed.
CREATE TABLE IF NOT EXISTS {{ table }} (
{% filter indent(4, first=true) %}{{ columns }}{% endfilter +%}
)
TBLPROPERTIES ({{ mark }})
