-- The property is our mark: a table without it is never changed.
CREATE TABLE IF NOT EXISTS {{ table }} (
{% filter indent(4, first=true) %}{{ columns }}{% endfilter +%}
)
{% if clustered_by %}
CLUSTER BY ({{ clustered_by | join(", ") }})
{% endif %}
TBLPROPERTIES ({{ mark }})
