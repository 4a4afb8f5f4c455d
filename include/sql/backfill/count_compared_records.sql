{% from "macros.sql" import is_accepted %}
-- How many records the scope mismatched can say something about, and how many flags of theirs it cannot compare, because the replica
-- does not know them. What people have accepted is not among these.
WITH compared AS (
{% filter indent(4, first=true) %}{% include "fragments/compared_records.sql" %}{% endfilter +%}
),

accepted_records AS (
{% filter indent(4, first=true) %}{% include "fragments/accepted_records.sql" %}{% endfilter +%}
),

certain AS (
    SELECT
        compared.*,
        accepted_records.accepted,
{% filter indent(8, first=true) %}{% include "fragments/is_certain.sql" %}{% endfilter %}

        AS is_compared
    FROM compared
{% filter indent(4, first=true) %}{% include "fragments/accepted_join.sql" %}{% endfilter +%}
)

SELECT
    COUNT_IF(is_compared) AS records,
{% for product in fields.products %}
    {{ "+ " if not loop.first }}COUNT_IF(
        is_compared
        AND salesforce_{{ product.enabled.column }} IS NULL
        AND NOT {{ is_accepted("unknown_in_salesforce", product.name) }}
    )
{% endfor %}
    AS unknown_flags
FROM certain
