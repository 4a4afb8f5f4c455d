{% from "macros.sql" import any_differs %}
-- Whether records, properties and feature rows can be told apart and belong together, and how many records differ.
-- Our own tables may not exist yet, so what people have accepted is counted too.
WITH compared AS (
{% filter indent(4, first=true) %}{% include "fragments/compared_records.sql" %}{% endfilter +%}
),

judged AS (
    SELECT
        compared.*,
{% filter indent(8, first=true) %}{% include "fragments/is_certain.sql" %}{% endfilter %}

        AS is_compared
    FROM compared
),

missing AS (
{% filter indent(4, first=true) %}{% include "fragments/missing_properties.sql" %}{% endfilter +%}
),

unmatched AS (
{% filter indent(4, first=true) %}{% include "fragments/unmatched_features.sql" %}{% endfilter +%}
)

SELECT
    COUNT(*) AS records,
    COUNT_IF(
        is_compared
        AND (
{%- for product in fields.products %}

            {{ "OR " if not loop.first }}(
                (
                    {{ any_differs(product.fields, "", "salesforce_") | indent(20) }}
                )
{%- if settings.watches_siblings %}

                AND NOT through_sibling_{{ product.enabled.column }}
{%- endif %}

            )
{%- endfor %}

        )
    ) AS records_that_differ,
{% if settings.watches_siblings %}
    COUNT_IF(is_compared AND through_sibling_
    {{- fields.products | map(attribute="enabled.column") | join(")\n    + COUNT_IF(is_compared AND through_sibling_") }})
    AS true_through_sibling,
{% else %}
    CAST(0 AS BIGINT) AS true_through_sibling,
{% endif %}
{% for class, prefix in (("unknown_in_salesforce", "salesforce_"), ("unknown_in_warehouse", "")) %}
{% for product in fields.products %}
    {{ "+ " if not loop.first }}COUNT_IF(is_compared AND {{ prefix }}{{ product.enabled.column }} IS NULL)
{% endfor %}
    AS {{ class }},
{% endfor %}
    COUNT_IF(NOT has_property AND NOT key_mismatch) AS missing_in_warehouse,
    COUNT_IF(key_mismatch) AS key_mismatch,
    COUNT_IF(has_property AND NOT key_mismatch AND has_ambiguous_features) AS ambiguous_features,
    (SELECT COUNT(*) FROM missing) AS missing_in_salesforce,
    (SELECT COUNT(*) FROM unmatched) AS unmatched_features
FROM judged
