{% if settings.merges_siblings %}
-- One row for each property: its own features, together with those of its ACTIVE siblings.
-- Any True wins, with the earliest start among the rows that are True, and the latest change.
WITH own_rows AS (
{% filter indent(4, first=true) %}{% include "fragments/own_feature_rows.sql" %}{% endfilter +%}
),

members AS (
{% filter indent(4, first=true) %}{% include "fragments/family_members.sql" %}{% endfilter +%}
),

sibling_rows AS (
{% filter indent(4, first=true) %}{% include "fragments/sibling_rows.sql" %}{% endfilter +%}
)

SELECT
    members.property_id,
    COALESCE(own_rows.is_ambiguous, FALSE) OR COALESCE(sibling_rows.is_ambiguous, FALSE) AS is_ambiguous
{%- for product in fields.products %}
{% set flag = product.enabled.column %},
    CASE
        WHEN own_rows.{{ flag }} OR sibling_rows.{{ flag }} THEN TRUE
        WHEN own_rows.property_id IS NOT NULL AND own_rows.{{ flag }} IS NULL THEN NULL
        WHEN sibling_rows.twin IS NOT NULL AND sibling_rows.{{ flag }} IS NULL THEN NULL
        ELSE FALSE
    END AS {{ flag }}
{%- if product.start %},
    CASE
        WHEN own_rows.{{ flag }} OR sibling_rows.{{ flag }} THEN
            least(
                CASE WHEN own_rows.{{ flag }} THEN own_rows.{{ product.start.column }} END,
                sibling_rows.{{ product.start.column }}
            )
        ELSE own_rows.{{ product.start.column }}
    END AS {{ product.start.column }}
{%- endif %}
{% if product.updated %},
    greatest(
        own_rows.{{ product.updated.column }},
        sibling_rows.{{ product.updated.column }}
    ) AS {{ product.updated.column }}
{%- endif %}
{% endfor +%}
FROM members
LEFT JOIN own_rows
    ON own_rows.property_id = members.property_id
LEFT JOIN sibling_rows
    ON sibling_rows.twin = members.twin
WHERE own_rows.property_id IS NOT NULL OR sibling_rows.twin IS NOT NULL
{%- else %}
{% include "fragments/own_feature_rows.sql" %}
{% endif %}
