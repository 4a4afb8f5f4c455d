-- Each record in Salesforce with what is wrong with it.
-- Its fields are compared (differs_x_c) only if its keys name one property, the warehouse knows that property, and its feature rows
-- agree.
WITH compared AS (
{% filter indent(4, first=true) %}{% include "fragments/compared_records.sql" %}{% endfilter +%}
),

comparable AS (
    SELECT
        compared.*,
        compared.has_property AND NOT compared.key_mismatch AND NOT compared.has_ambiguous_features AS is_compared,
        compared.has_property AND NOT compared.key_mismatch AND compared.has_ambiguous_features AS ambiguous_features,
        NOT compared.has_property AND NOT compared.key_mismatch AS missing_in_warehouse
    FROM compared
)

SELECT
    comparable.*
{%- for product in fields.products %}
{% if settings.watches_siblings %},
    is_compared AND through_sibling_{{ product.enabled.column }}
    AS true_through_sibling_{{ product.enabled.column }}
{%- endif %}
{% for field in product.fields %},
    is_compared AND {{ field.column }} IS DISTINCT FROM salesforce_{{ field.column }}
{%- if settings.watches_siblings %}

    AND NOT through_sibling_{{ product.enabled.column }}
{%- endif %}

    AS differs_{{ field.column }}
{%- endfor %}
{% endfor +%}
FROM comparable
