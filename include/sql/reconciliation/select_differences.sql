{% set keys = fields.keys | map(attribute="column") | list %}
-- Every difference between the systems, at most :most of each class, those that nobody has accepted first.
-- NULL on one side becomes an empty cell. An acceptance that has ended is shown too, but is_accepted is FALSE.
WITH found AS (
{% filter indent(4, first=true) %}{% include "fragments/differences.sql" %}{% endfilter +%}
),

acceptances AS (
{% filter indent(4, first=true) %}{% include "fragments/acceptances.sql" %}{% endfilter +%}
),

compared_with_acceptances AS (
    SELECT
        found.*,
        COALESCE(acceptances.is_current, FALSE) AS is_accepted,
        acceptances.reason AS accepted_reason,
        acceptances.accepted_by,
        acceptances.accepted_until
    FROM found
    LEFT JOIN acceptances
{% filter indent(8, first=true) %}{% include "fragments/acceptance_of_difference.sql" %}{% endfilter +%}
),

numbered AS (
    SELECT
        compared_with_acceptances.*,
        row_number() OVER (
            PARTITION BY class
            ORDER BY is_accepted, {{ keys | join(", ") }}, salesforce_id, field_number
        ) AS number_in_class
    FROM compared_with_acceptances
)

SELECT
    class,
    salesforce_id,
    {{ keys | join(",\n    ") }},
    product,
    field,
    in_salesforce_value,
    in_warehouse_value,
    is_accepted,
    accepted_reason,
    accepted_by,
    accepted_until
FROM numbered
WHERE number_in_class <= :most
ORDER BY class, number_in_class
