{% from "macros.sql" import any_of %}
{% set flags = fields.products | map(attribute="enabled") | list %}
-- What the records of both systems hold, what differs, and how much of that is accepted. One row, also if there is no record.
-- products: a struct for each product, all counted in one pass.
WITH classified AS (
{% filter indent(4, first=true) %}{% include "fragments/classified_records.sql" %}{% endfilter +%}
),

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
)

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
    COUNT_IF(true_through_sibling_{{ flags | map(attribute="column") | join(")\n    + COUNT_IF(true_through_sibling_") }})
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
                {{ any_of(product.fields, "differs_{}") | indent(16) }}
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
