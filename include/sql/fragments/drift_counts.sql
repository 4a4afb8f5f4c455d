{% set of_properties = (
    ("missing_in_salesforce", "missing", fields.property_id.column),
    ("unknown_status", "unknown", fields.property_id.column),
    ("unmatched_features", "unmatched", "property_id"),
) %}
-- One row for each product: what both systems hold, what differs, and how much of that is accepted.
-- The columns from properties_mismatched on count records of any product. They are the same in every row.
WITH missing AS (
{% filter indent(4, first=true) %}{% include "fragments/missing_properties.sql" %}{% endfilter +%}
),

unknown AS (
{% filter indent(4, first=true) %}{% include "fragments/properties_of_unknown_status.sql" %}{% endfilter +%}
),

unmatched AS (
{% filter indent(4, first=true) %}{% include "fragments/unmatched_features.sql" %}{% endfilter +%}
),

accepted_properties AS (
{% filter indent(4, first=true) %}{% include "fragments/accepted_properties.sql" %}{% endfilter +%}
),

of_properties AS (
{% for class, table, id in of_properties %}
    SELECT '{{ class }}' AS class, {{ table }}.{{ id }} AS property_id
    FROM {{ table }}
{{ "    UNION ALL\n" if not loop.last }}
{%- endfor %}
),

counted_properties AS (
    SELECT
{% for class, _, _ in of_properties %}
        COUNT_IF(of_properties.class = '{{ class }}') AS {{ class }},
        COUNT_IF(accepted_properties.class = '{{ class }}') AS {{ class }}_accepted{{ "," if not loop.last }}
{% endfor %}
    FROM of_properties
    LEFT JOIN accepted_properties
        ON accepted_properties.class = of_properties.class
        AND accepted_properties.property_id = of_properties.property_id
),

counted AS (
{% filter indent(4, first=true) %}{% include "fragments/counted_records.sql" %}{% endfilter +%}
),

product_counts AS (
    SELECT
        counted.*,
        explode(counted.products) AS counts
    FROM counted
)

SELECT
    counts.name AS product,
    properties_checked,
    counts.enabled_in_salesforce,
    counts.enabled_in_warehouse,
    counts.mismatched,
    counts.wrongly_false,
    counts.wrongly_true,
    counts.date_differs,
    counts.wrongly_false_accepted,
    counts.wrongly_true_accepted,
    counts.date_differs_accepted,
    properties_mismatched,
    properties_accepted,
    properties_held_back,
    properties_to_send,
    properties_unmatched,
    missing_in_salesforce,
    missing_in_salesforce_accepted,
    missing_in_warehouse,
    missing_in_warehouse_accepted,
    key_mismatch,
    key_mismatch_accepted,
    ambiguous_features,
    ambiguous_features_accepted,
    true_through_sibling,
    true_through_sibling_accepted,
    unknown_status,
    unknown_status_accepted,
    unmatched_features,
    unmatched_features_accepted,
    unknown_in_salesforce,
    unknown_in_salesforce_accepted,
    unknown_in_warehouse,
    unknown_in_warehouse_accepted
FROM product_counts
CROSS JOIN counted_properties
