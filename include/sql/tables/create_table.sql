CREATE TABLE IF NOT EXISTS {{ table }} (
{% filter indent(4, first=true) %}{{ columns }}{% endfilter +%}
)
