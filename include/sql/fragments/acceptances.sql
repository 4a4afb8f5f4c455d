{% set keys = fields.keys | map(attribute="column") | list %}
-- One row for each difference that somebody has accepted: the newest complete entry about it. If two are equally new, the one
-- that ends first counts.
-- is_current: it has not ended. entry_product: the product as the entry has it, NULL for all.
WITH judged_acceptances AS (
{% filter indent(4, first=true) %}{% include "fragments/judged_acceptances.sql" %}{% endfilter +%}
),

accepted_products AS (
    SELECT
        class,
        salesforce_id,
        {{ keys | join(",\n        ") }},
        product AS entry_product,
        explode(
            CASE WHEN has_products AND product IS NULL
                THEN array(
                    '{{ fields.products | map(attribute="name") | join("',\n                    '") }}'
                )
                ELSE array(product)
            END
        ) AS product,
        reason,
        accepted_by,
        accepted_until,
        accepted_at
    FROM judged_acceptances
    WHERE problem IS NULL
)

SELECT
    accepted_products.*,
    accepted_until >= current_date() AS is_current
FROM accepted_products
QUALIFY row_number() OVER (
    PARTITION BY class, salesforce_id, {{ keys | join(", ") }}, product
    ORDER BY accepted_at DESC, accepted_until, accepted_by, reason
) = 1
