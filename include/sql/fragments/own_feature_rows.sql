{% from "macros.sql" import as_kept %}
{% set order = settings.features_order_column %}
{% set deleted = settings.features_deleted_column %}
{# A flag of the feature table as TRUE, FALSE or NULL; a date as Salesforce keeps it. #}
{% macro kept(field, value) -%}
{% if field.kind != "checkbox" -%}
{{ as_kept(field, value) }}
{%- elif fields.flag_type == "number" -%}
CASE {{ value }} WHEN 1 THEN TRUE WHEN 0 THEN FALSE END
{%- else -%}
{{ value }}
{%- endif %}
{%- endmacro %}
-- One row for each property of the feature table, in Salesforce's columns and types.
-- Equal rows of a property are one row{{ "; of unequal ones the newest counts" if order }}.
-- is_ambiguous: unequal rows are left, and nobody can say which one is right. Then the values here mean nothing.
-- A property that has one row is taken as it is: to group all rows by all columns takes longer than the rest.
WITH repeated AS (
    SELECT features.property_id
    FROM {{ settings.features_table }} AS features
{% if deleted %}
    WHERE NOT COALESCE(features.{{ deleted }}, FALSE)
{% endif %}
    GROUP BY features.property_id
    HAVING COUNT(*) > 1
),

repeated_rows AS (
    SELECT features.*
    FROM {{ settings.features_table }} AS features
    INNER JOIN repeated
        ON repeated.property_id = features.property_id
{% if deleted %}
    WHERE NOT COALESCE(features.{{ deleted }}, FALSE)
{% endif %}
{% if order %}
    QUALIFY rank() OVER (PARTITION BY features.property_id ORDER BY features.{{ order }} DESC NULLS LAST) = 1
{% endif %}
),

different_rows AS (
    SELECT DISTINCT
        property_id
{%- for field in fields.features %},
        {{ field.source }}
{%- endfor +%}
    FROM repeated_rows
)

SELECT
    features.property_id,
    FALSE AS is_ambiguous
{%- for field in fields.features %},
    {{ kept(field, "features." ~ field.source) }} AS {{ field.column }}
{%- endfor +%}
FROM {{ settings.features_table }} AS features
LEFT ANTI JOIN repeated
    ON repeated.property_id = features.property_id
WHERE
    features.property_id IS NOT NULL
{% if deleted %}
    AND NOT COALESCE(features.{{ deleted }}, FALSE)
{% endif %}
UNION ALL
SELECT
    property_id,
    COUNT(*) > 1 AS is_ambiguous
{%- for field in fields.features %},
    MAX({{ kept(field, field.source) }}) AS {{ field.column }}
{%- endfor +%}
FROM different_rows
GROUP BY property_id
