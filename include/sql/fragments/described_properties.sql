{% set products = fields.products | list %}
-- What people know a property by, and which products it has in the warehouse: one row for each property.
-- If nobody can say which of its feature rows is right, its products are NULL. A property without a feature row has none.
WITH feature_rows AS (
{% filter indent(4, first=true) %}{% include "fragments/feature_rows.sql" %}{% endfilter +%}
),

named AS (
    SELECT
        CAST(properties.id AS STRING) AS property_id,
{% for column, name in ((settings.name_column, "property_name"), (settings.company_column, "company")) %}
{% if column %}
        CAST(properties.{{ column }} AS STRING) AS {{ name }},
{% else %}
        CAST(NULL AS STRING) AS {{ name }},
{% endif %}
{% endfor %}
        properties.status
    FROM {{ settings.properties_table }} AS properties
{% if settings.properties_deleted_column %}
    WHERE NOT COALESCE(properties.{{ settings.properties_deleted_column }}, FALSE)
{% endif %}
),

-- An id that is there several times is described once, so that no list has a line twice.
named_once AS (
    SELECT named.*
    FROM named
    QUALIFY row_number() OVER (
        PARTITION BY named.property_id
        ORDER BY named.property_name, named.company, named.status
    ) = 1
)

SELECT
    named_once.property_id,
    named_once.property_name,
    named_once.company,
    named_once.status,
    CASE
        WHEN features.is_ambiguous THEN NULL
        ELSE
{% for product in products %}
            {{ "+ " if not loop.first }}CASE WHEN features.{{ product.enabled.column }} THEN 1 ELSE 0 END
{% endfor %}
    END AS number_of_products,
    CASE
        WHEN features.is_ambiguous THEN NULL
        ELSE concat_ws(
            ', '
{%- for product in products %},
            CASE WHEN features.{{ product.enabled.column }} THEN '{{ product.name }}' END
{%- endfor +%}
        )
    END AS product_names
FROM named_once
LEFT JOIN feature_rows AS features
    ON features.property_id = named_once.property_id
