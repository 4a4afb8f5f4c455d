{% from "macros.sql" import differs %}
-- Each record in Salesforce with what is wrong with it.
-- Its fields are compared (differs_x_c) only if its keys name one property, the warehouse knows that property, and its feature rows
-- agree.
-- A flag that is NULL on one side is not compared. It is unknown there (unknown_in_salesforce_x_c, unknown_in_warehouse_x_c).
WITH compared AS (
{% filter indent(4, first=true) %}{% include "fragments/compared_records.sql" %}{% endfilter +%}
),

comparable AS (
    SELECT
        compared.*,
{% filter indent(8, first=true) %}{% include "fragments/is_certain.sql" %}{% endfilter %}

        AS is_compared,
        compared.has_property AND NOT compared.key_mismatch AND compared.has_ambiguous_features AS ambiguous_features,
        NOT compared.has_property AND NOT compared.key_mismatch AS missing_in_warehouse
    FROM compared
)

SELECT
    comparable.*
{%- for product in fields.products %}
{%- for class, flag in (("unknown_in_salesforce", "salesforce_"), ("unknown_in_warehouse", "")) %},
    is_compared AND {{ flag }}{{ product.enabled.column }} IS NULL AS {{ class }}_{{ product.enabled.column }}
{%- endfor %}
{% if settings.watches_siblings %},
    is_compared AND through_sibling_{{ product.enabled.column }}
    AS true_through_sibling_{{ product.enabled.column }}
{%- endif %}
{% for field in product.fields %},
    is_compared AND {{ differs(field, "", "salesforce_") }}
{%- if settings.watches_siblings %}

    AND NOT through_sibling_{{ product.enabled.column }}
{%- endif %}

    AS differs_{{ field.column }}
{%- endfor %}
{% endfor +%}
FROM comparable
