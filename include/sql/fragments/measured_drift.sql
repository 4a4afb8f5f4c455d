-- What a reconciliation measures, when, and up to which time the replica was filled: one row for each product, with what both systems
-- hold of it, what differs, and how much of that is accepted.
-- The columns from properties_mismatched on count records of any product. They are the same in every row.
WITH counted AS (
{% filter indent(4, first=true) %}{% include "fragments/counted_differences.sql" %}{% endfilter +%}
),

look AS (
{% filter indent(4, first=true) %}{% include look %}{% endfilter +%}
),

held AS (
    SELECT
        MAX(_fivetran_synced) AS synced_at,
        COUNT_IF(NOT is_deleted) AS records
{%- for product in fields.products %},
        COUNT_IF(NOT is_deleted AND {{ product.enabled.column }}) AS {{ product.enabled.column }}
{%- endfor +%}
    FROM {{ settings.salesforce_table }}
),

-- A record that is in no row of the list holds in Salesforce what the warehouse says.
product_counts AS (
    SELECT
        counted.*,
        look.compared_at,
        held.synced_at,
        held.records - counted.not_compared AS properties_checked,
        explode(
            array(
{% for product in fields.products %}
{% set flag = product.enabled.column %}
                struct(
                    '{{ product.name }}' AS name,
                    held.{{ flag }} - counted.not_compared_{{ flag }} AS enabled_in_salesforce,
                    held.{{ flag }}
                    - counted.not_compared_{{ flag }}
                    + counted.more_in_warehouse_{{ flag }}
                    AS enabled_in_warehouse
{%- for count in ("mismatched", "wrongly_false", "wrongly_true", "date_differs", "wrongly_false_accepted", "wrongly_true_accepted",
    "date_differs_accepted") %},
                    counted.{{ count }}_{{ flag }} AS {{ count }}
{%- endfor +%}
                ){{ "," if not loop.last }}
{% endfor %}
            )
        ) AS counts
    FROM counted
    CROSS JOIN held
    CROSS JOIN look
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
    unknown_in_warehouse_accepted,
    CAST(properties_checked - counts.mismatched AS DOUBLE) / NULLIF(properties_checked, 0) AS accuracy,
    synced_at AS copy_synced_at,
    compared_at AS checked_at
FROM product_counts
