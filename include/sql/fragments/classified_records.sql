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
{%- for field in fields.features %},
    is_compared AND {{ field.column }} IS DISTINCT FROM salesforce_{{ field.column }}
    AS differs_{{ field.column }}
{%- endfor +%}
FROM comparable
