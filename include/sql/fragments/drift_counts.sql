{% from "macros.sql" import any_of %}
{% set flags = fields.products | map(attribute="enabled") | list %}
-- One row for each product: what both systems hold, and what differs.
-- The columns from properties_mismatched on count records of any product. They are the same in every row.
WITH classified AS (
{% filter indent(4, first=true) %}{% include "fragments/classified_records.sql" %}{% endfilter +%}
),

missing AS (
{% filter indent(4, first=true) %}{% include "fragments/missing_properties.sql" %}{% endfilter +%}
),

unknown AS (
{% filter indent(4, first=true) %}{% include "fragments/properties_of_unknown_status.sql" %}{% endfilter +%}
),

judged AS (
    SELECT
        classified.*,
        {{ any_of(fields.features, "differs_{}") | indent(8) }}
        AS any_differs,
        {{ any_of(flags if settings.watches_siblings else [], "true_through_sibling_{}") | indent(8) }}
        AS is_left_alone
    FROM classified
),

-- All products are counted in one pass. Without any record this is still one row, so there is a row for each product.
counted AS (
    SELECT
        COUNT_IF(is_compared) AS properties_checked,
        COUNT_IF(any_differs AND NOT is_left_alone) AS properties_mismatched,
        COUNT_IF(any_differs AND NOT is_left_alone AND NOT has_feature_row) AS properties_unmatched,
        COUNT_IF(missing_in_warehouse) AS missing_in_warehouse,
        COUNT_IF(key_mismatch) AS key_mismatch,
        COUNT_IF(ambiguous_features) AS ambiguous_features,
{% if settings.watches_siblings %}
        COUNT_IF(true_through_sibling_{{ flags | map(attribute="column") | join(")\n        + COUNT_IF(true_through_sibling_") }})
        AS true_through_sibling,
{% else %}
        CAST(0 AS BIGINT) AS true_through_sibling,
{% endif %}
        array(
{% for product in fields.products %}
{% set flag = product.enabled.column %}
            struct(
                '{{ product.name }}' AS name,
                COUNT_IF(is_compared AND salesforce_{{ flag }}) AS enabled_in_salesforce,
                COUNT_IF(is_compared AND {{ flag }}) AS enabled_in_warehouse,
                COUNT_IF(
                    {{ any_of(product.fields, "differs_{}") | indent(20) }}
                ) AS mismatched,
                COUNT_IF(differs_{{ flag }} AND salesforce_{{ flag }} IS NOT TRUE) AS wrongly_false,
                COUNT_IF(differs_{{ flag }} AND salesforce_{{ flag }}) AS wrongly_true,
                COUNT_IF(
                    {{ any_of(product.dates, "differs_{}") | indent(20) }}
                ) AS date_differs
            ){{ "," if not loop.last }}
{% endfor %}
        ) AS products
    FROM judged
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
    properties_mismatched,
    properties_unmatched,
    (SELECT COUNT(*) FROM missing) AS missing_in_salesforce,
    missing_in_warehouse,
    key_mismatch,
    ambiguous_features,
    true_through_sibling,
    (SELECT COUNT(*) FROM unknown) AS unknown_status
FROM product_counts
