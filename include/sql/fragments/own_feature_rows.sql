{% from "macros.sql" import as_kept %}
{% set order = settings.features_order_column %}
{% set deleted = settings.features_deleted_column %}
-- One row for each property of the feature table, in Salesforce's columns and types. Grouping makes sure of that.
-- Equal rows of a property are one row{{ "; of unequal ones the newest counts" if order }}.
-- is_ambiguous: unequal rows are left, and nobody can say which one is right. Then the values here mean nothing.
WITH
{%- if order %} newest_rows AS (
    SELECT features.*
    FROM {{ settings.features_table }} AS features
{% if deleted %}
    WHERE NOT COALESCE(features.{{ deleted }}, FALSE)
{% endif %}
    QUALIFY rank() OVER (PARTITION BY features.property_id ORDER BY features.{{ order }} DESC NULLS LAST) = 1
),

different_rows AS (
{%- else %} different_rows AS (
{%- endif %}

    SELECT DISTINCT
        features.property_id
{%- for field in fields.features %},
        features.{{ field.source }}
{%- endfor +%}
    FROM {{ "newest_rows" if order else settings.features_table }} AS features
{% if deleted and not order %}
    WHERE NOT COALESCE(features.{{ deleted }}, FALSE)
{% endif %}
)

SELECT
    property_id,
    COUNT(*) > 1 AS is_ambiguous
{%- for field in fields.features %},
{% if field.kind != "checkbox" %}
    MAX({{ as_kept(field, field.source) }}) AS {{ field.column }}
{%- elif fields.flag_type == "number" %}
    MAX(CASE {{ field.source }} WHEN 1 THEN TRUE WHEN 0 THEN FALSE END) AS {{ field.column }}
{%- else %}
    MAX({{ field.source }}) AS {{ field.column }}
{%- endif %}
{%- endfor +%}
FROM different_rows
GROUP BY property_id
