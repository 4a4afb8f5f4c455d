{% from "macros.sql" import all_of %}
{% set flags = fields.products | map(attribute="enabled") | list %}
{# Whether it is known which products a property has: its feature rows agree, none misspells its id, and no flag is empty. #}
(
    features.property_id IS NULL
    OR (
        NOT features.is_ambiguous
        AND {{ all_of(flags, "features.{} IS NOT NULL") | indent(8) }}
    )
)
AND NOT EXISTS (
    SELECT 1
    FROM misspelled
    WHERE misspelled.property_id = CAST(properties.id AS STRING)
)
