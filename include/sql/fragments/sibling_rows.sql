-- What the ACTIVE properties of each twin have together. Any True wins; a flag is NULL if none is True and one is empty.
SELECT
    members.twin,
    COUNT_IF(own_rows.is_ambiguous) > 0 AS is_ambiguous
{%- for product in fields.products %}
{% set flag = product.enabled.column %},
    CASE
        WHEN COUNT_IF(own_rows.{{ flag }}) > 0 THEN TRUE
        WHEN COUNT_IF(own_rows.{{ flag }} IS NULL) > 0 THEN NULL
        ELSE FALSE
    END AS {{ flag }}
{%- if product.start %},
    MIN(
        CASE WHEN own_rows.{{ flag }} THEN own_rows.{{ product.start.column }} END
    ) AS {{ product.start.column }}
{%- endif %}
{% if product.updated %},
    MAX(own_rows.{{ product.updated.column }}) AS {{ product.updated.column }}
{%- endif %}
{% endfor +%}
FROM members
INNER JOIN {{ "own_rows" if settings.merges_siblings else "feature_rows AS own_rows" }}
    ON own_rows.property_id = members.property_id
WHERE members.is_active AND members.twin IS NOT NULL
GROUP BY members.twin
