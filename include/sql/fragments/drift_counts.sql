{% from "macros.sql" import any_of %}
{% set flags = fields.products | map(attribute="enabled") | list %}
{% set of_properties = (
    ("missing_in_salesforce", "missing", fields.property_id.column),
    ("unknown_status", "unknown", fields.property_id.column),
    ("unmatched_features", "unmatched", "property_id"),
) %}
-- One row for each product: what both systems hold, what differs, and how much of that is accepted.
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

unmatched AS (
{% filter indent(4, first=true) %}{% include "fragments/unmatched_features.sql" %}{% endfilter +%}
),

accepted_properties AS (
{% filter indent(4, first=true) %}{% include "fragments/accepted_properties.sql" %}{% endfilter +%}
),

{% for class, table, id in of_properties %}
counted_{{ table }} AS (
    SELECT
        COUNT(*) AS {{ class }},
        COUNT(accepted_properties.property_id) AS {{ class }}_accepted
    FROM {{ table }}
    LEFT JOIN accepted_properties
        ON accepted_properties.class = '{{ class }}'
        AND accepted_properties.property_id = {{ table }}.{{ id }}
),

{% endfor %}
by_product AS (
    SELECT
        classified.*
{%- for product in fields.products %}
{% set flag = product.enabled.column %},
        {{ any_of(product.dates, "differs_{}") | indent(8) }}
        AS dates_differ_{{ flag }}
{%- endfor +%}
    FROM classified
),

judged AS (
    SELECT
        by_product.*,
        {{ any_of(fields.features, "differs_{}") | indent(8) }}
        AS any_differs,
        {{ any_of(flags, "(differs_{} AND accepted_{})\nOR (dates_differ_{} AND accepted_dates_{})") | indent(8) }}
        AS any_accepted,
        {{ any_of(flags, "(differs_{} AND NOT accepted_{})\nOR (dates_differ_{} AND NOT accepted_dates_{})") | indent(8) }}
        AS any_new,
        {{ any_of(flags, "unknown_in_warehouse_{}") | indent(8) }}
{%- if settings.watches_siblings %}

        OR {{ any_of(flags, "true_through_sibling_{}") | indent(8) }}
{%- endif %}

        AS is_left_alone
    FROM by_product
),

-- All products are counted in one pass. Without any record this is still one row, so there is a row for each product.
counted AS (
    SELECT
        COUNT_IF(is_compared) AS properties_checked,
        COUNT_IF(any_differs) AS properties_mismatched,
        COUNT_IF(any_differs AND NOT any_new) AS properties_accepted,
        COUNT_IF(any_new AND (any_accepted OR is_left_alone)) AS properties_held_back,
        COUNT_IF(any_new AND NOT any_accepted AND NOT is_left_alone) AS properties_to_send,
        COUNT_IF(any_new AND NOT any_accepted AND NOT is_left_alone AND NOT has_feature_row) AS properties_unmatched,
{% for class in ("missing_in_warehouse", "key_mismatch", "ambiguous_features") %}
        COUNT_IF({{ class }}) AS {{ class }},
        COUNT_IF({{ class }} AND accepted_{{ class }}) AS {{ class }}_accepted,
{% endfor %}
{% if settings.watches_siblings %}
        COUNT_IF(true_through_sibling_{{ flags | map(attribute="column") | join(")\n        + COUNT_IF(true_through_sibling_") }})
        AS true_through_sibling,
{% for flag in flags %}
        {{ "+ " if not loop.first }}COUNT_IF(true_through_sibling_{{ flag.column }} AND accepted_sibling_{{ flag.column }})
{% endfor %}
        AS true_through_sibling_accepted,
{% else %}
        CAST(0 AS BIGINT) AS true_through_sibling,
        CAST(0 AS BIGINT) AS true_through_sibling_accepted,
{% endif %}
{% for class in ("unknown_in_salesforce", "unknown_in_warehouse") %}
{% for flag in flags %}
        {{ "+ " if not loop.first }}COUNT_IF({{ class }}_{{ flag.column }})
{% endfor %}
        AS {{ class }},
{% for flag in flags %}
        {{ "+ " if not loop.first }}COUNT_IF({{ class }}_{{ flag.column }} AND accepted_{{ class }}_{{ flag.column }})
{% endfor %}
        AS {{ class }}_accepted,
{% endfor %}
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
                COUNT_IF(differs_{{ flag }} AND NOT salesforce_{{ flag }}) AS wrongly_false,
                COUNT_IF(differs_{{ flag }} AND salesforce_{{ flag }}) AS wrongly_true,
                COUNT_IF(dates_differ_{{ flag }}) AS date_differs,
                COUNT_IF(
                    differs_{{ flag }}
                    AND accepted_{{ flag }}
                    AND NOT salesforce_{{ flag }}
                ) AS wrongly_false_accepted,
                COUNT_IF(
                    differs_{{ flag }}
                    AND accepted_{{ flag }}
                    AND salesforce_{{ flag }}
                ) AS wrongly_true_accepted,
                COUNT_IF(
                    dates_differ_{{ flag }} AND accepted_dates_{{ flag }}
                ) AS date_differs_accepted
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
CROSS JOIN counted_missing
CROSS JOIN counted_unknown
CROSS JOIN counted_unmatched
