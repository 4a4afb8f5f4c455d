{% set healed = "('wrongly_false', 'wrongly_true', 'date_differs')" %}
{% set of_flags = ("wrongly_false", "wrongly_true") %}
{% set of_any_product = (
    "missing_in_salesforce", "missing_in_warehouse", "key_mismatch", "ambiguous_features", "true_through_sibling",
    "unknown_status", "unmatched_features", "unknown_in_salesforce", "unknown_in_warehouse",
) %}
{% macro total(column) -%}
CAST(COALESCE(SUM({{ column }}), 0) AS BIGINT)
    AS {{ column }}
{%- endmacro %}
-- How many differences there are, and how many of them are accepted, counted from their list. One row, also if there is none.
-- not_compared: records that are not compared, because nobody can say what they should hold. A record of a property that is there
-- twice has two rows in the list and is one record here. not_compared_x_c: those of them that hold this flag.
-- more_in_warehouse_x_c: of the compared records, how many more have this flag in the warehouse than in Salesforce.
WITH found AS (
{% filter indent(4, first=true) %}{% include found %}{% endfilter +%}
),

acceptances AS (
{% filter indent(4, first=true) %}{% include "fragments/acceptances.sql" %}{% endfilter +%}
),

with_acceptances AS (
    SELECT
        found.*,
        COALESCE(acceptances.is_current, FALSE) AS is_accepted
    FROM found
    LEFT JOIN acceptances
{% filter indent(8, first=true) %}{% include "fragments/acceptance_of_difference.sql" %}{% endfilter +%}
),

-- The differences of a record are one row here. Those of properties without a record are one row together, without a salesforce_id.
by_record AS (
    SELECT
        salesforce_id,
        COUNT_IF(has_feature_row) > 0 AS has_feature_row,
        COUNT_IF(class IN {{ healed }}) > 0 AS any_differs,
        COUNT_IF(class IN {{ healed }} AND is_accepted) > 0 AS any_accepted,
        COUNT_IF(class IN {{ healed }} AND NOT is_accepted) > 0 AS any_new,
        COUNT_IF(class IN ('true_through_sibling', 'unknown_in_warehouse')) > 0 AS is_left_alone,
        COUNT_IF(class IN ('missing_in_warehouse', 'key_mismatch', 'ambiguous_features')) > 0 AS is_not_compared
{%- for class in of_any_product %},
        COUNT_IF(class = '{{ class }}') AS {{ class }},
        COUNT_IF(class = '{{ class }}' AND is_accepted) AS {{ class }}_accepted
{%- endfor %}
{%- for product in fields.products %}
{% set flag = product.enabled.column %},
        COUNT_IF(class IN {{ healed }} AND product = '{{ product.name }}') > 0
        AS mismatched_{{ flag }},
        COUNT_IF(class = 'date_differs' AND product = '{{ product.name }}') > 0 AS date_differs_{{ flag }},
        COUNT_IF(class = 'date_differs' AND product = '{{ product.name }}' AND is_accepted) > 0
        AS date_differs_accepted_{{ flag }}
{%- for class in of_flags %},
        COUNT_IF(class = '{{ class }}' AND product = '{{ product.name }}') AS {{ class }}_{{ flag }},
        COUNT_IF(class = '{{ class }}' AND product = '{{ product.name }}' AND is_accepted)
        AS {{ class }}_accepted_{{ flag }}
{%- endfor %},
        COUNT_IF(array_contains(split(enabled_in_salesforce, ','), '{{ flag }}')) > 0
        AS not_compared_{{ flag }},
        COUNT_IF(field = '{{ flag }}' AND in_warehouse_value = 'true')
        - COUNT_IF(field = '{{ flag }}' AND in_salesforce_value = 'true')
        AS more_in_warehouse_{{ flag }}
{%- endfor +%}
    FROM with_acceptances
    GROUP BY salesforce_id
)

SELECT
    COUNT_IF(any_differs) AS properties_mismatched,
    COUNT_IF(any_differs AND NOT any_new) AS properties_accepted,
    COUNT_IF(any_new AND (any_accepted OR is_left_alone)) AS properties_held_back,
    COUNT_IF(any_new AND NOT any_accepted AND NOT is_left_alone) AS properties_to_send,
    COUNT_IF(any_new AND NOT any_accepted AND NOT is_left_alone AND NOT has_feature_row) AS properties_unmatched,
    COUNT_IF(is_not_compared) AS not_compared
{%- for class in of_any_product %},
    {{ total(class) }},
    {{ total(class ~ "_accepted") }}
{%- endfor %}
{%- for product in fields.products %}
{% set flag = product.enabled.column %},
    COUNT_IF(mismatched_{{ flag }}) AS mismatched_{{ flag }},
    COUNT_IF(date_differs_{{ flag }}) AS date_differs_{{ flag }},
    COUNT_IF(date_differs_accepted_{{ flag }}) AS date_differs_accepted_{{ flag }}
{%- for class in of_flags %},
    {{ total(class ~ "_" ~ flag) }},
    {{ total(class ~ "_accepted_" ~ flag) }}
{%- endfor %},
    COUNT_IF(not_compared_{{ flag }}) AS not_compared_{{ flag }},
    {{ total("more_in_warehouse_" ~ flag) }}
{%- endfor +%}
FROM by_record
