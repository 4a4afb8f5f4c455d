{% from "macros.sql" import any_of, each_key %}
{# Salesforce ignores case and blanks around a key when it looks for a record, so they do not tell two keys apart. #}
{% set as_found = ("'{number} ' || " if fields.keys | length > 1 else "") ~ "lower(trim(salesforce.{}))" %}
-- Every record in Salesforce beside what the warehouse says it should hold.
-- x_c is the warehouse's value. salesforce_x_c is the value that Salesforce holds now.
{% if settings.watches_siblings %}
-- through_sibling_x_c: the flag is True in Salesforce and False by the property's own row, but an ACTIVE sibling has it.
{% endif %}
-- key_mismatch: {{ "the two keys of the record name different properties, or " if fields.keys | length > 1 -}}
two records share a key,
-- or the properties table has the property twice.
-- The join with the features is the one whose absence caused the incident of 2025-11-21.
WITH feature_rows AS (
{% filter indent(4, first=true) %}{% include "fragments/feature_rows.sql" %}{% endfilter +%}
),

misspelled AS (
{% filter indent(4, first=true) %}{% include "fragments/misspelled_properties.sql" %}{% endfilter +%}
),

repeated_properties AS (
{% filter indent(4, first=true) %}{% include "fragments/repeated_properties.sql" %}{% endfilter +%}
),

{% if fields.keys | length > 1 %}
-- One list of keys, so that the replica is read once. The number of its field is before each: only keys of one field can be shared.
{% endif %}
keys_as_found AS (
    SELECT {{ each_key(fields.keys, as_found) | indent(4) }} AS key_as_found
    FROM {{ settings.salesforce_table }} AS salesforce
    WHERE NOT salesforce.is_deleted
),

shared_keys AS (
    SELECT keys_as_found.key_as_found
    FROM keys_as_found
    WHERE keys_as_found.key_as_found IS NOT NULL
    GROUP BY keys_as_found.key_as_found
    HAVING COUNT(*) > 1
)
{%- if settings.watches_siblings %},

members AS (
{% filter indent(4, first=true) %}{% include "fragments/family_members.sql" %}{% endfilter +%}
),

sibling_rows AS (
{% filter indent(4, first=true) %}{% include "fragments/sibling_rows.sql" %}{% endfilter +%}
)
{%- endif +%}

SELECT
    salesforce.id AS salesforce_id,
    salesforce.created_date,
{% if settings.parent_column %}
    CAST(properties.{{ settings.parent_column }} AS STRING) AS parent_id,
{% else %}
    CAST(NULL AS STRING) AS parent_id,
{% endif %}
{% if settings.name_column %}
    CAST(properties.{{ settings.name_column }} AS STRING) AS property_name,
{% else %}
    CAST(NULL AS STRING) AS property_name,
{% endif %}
    properties.id IS NOT NULL AS has_property,
    features.property_id IS NOT NULL AS has_feature_row,
    COALESCE(features.is_ambiguous, FALSE) OR misspelled.property_id IS NOT NULL AS has_ambiguous_features,
{% if fields.keys | length > 1 %}
    salesforce.{{ fields.property_id.column }} IS DISTINCT FROM salesforce.{{ fields.upsert_key.column }}
    OR {{ any_of(fields.keys, "shared_{}.key_as_found IS NOT NULL") | indent(4) }}
    OR repeated_properties.property_id IS NOT NULL
    AS key_mismatch,
{% else %}
    {{ any_of(fields.keys, "shared_{}.key_as_found IS NOT NULL") | indent(4) }}
    OR repeated_properties.property_id IS NOT NULL
    AS key_mismatch,
{% endif %}
{% if settings.watches_siblings %}
{% for product in fields.products %}
{% set flag = product.enabled.column %}
    COALESCE(
        salesforce.{{ flag }}
        AND (features.property_id IS NULL OR NOT features.{{ flag }})
        AND sibling_rows.{{ flag }},
        FALSE
    ) AS through_sibling_{{ flag }},
{% endfor %}
{% endif %}
    salesforce.{{ fields.keys | map(attribute="column") | join(",\n    salesforce.") }}
{%- for field in fields.features %},
    salesforce.{{ field.column }} AS salesforce_{{ field.column }}
{%- endfor %},
{% filter indent(4, first=true) %}{% include "fragments/feature_values.sql" %}{% endfilter +%}
FROM {{ settings.salesforce_table }} AS salesforce
LEFT JOIN {{ settings.properties_table }} AS properties
    ON CAST(properties.id AS STRING) = salesforce.{{ fields.property_id.column }}
{% if settings.properties_deleted_column %}
    AND NOT COALESCE(properties.{{ settings.properties_deleted_column }}, FALSE)
{% endif %}
{% include "fragments/feature_join.sql" +%}
LEFT JOIN misspelled
    ON misspelled.property_id = CAST(properties.id AS STRING)
LEFT JOIN repeated_properties
    ON repeated_properties.property_id = CAST(properties.id AS STRING)
{% for key in fields.keys %}
LEFT JOIN shared_keys AS shared_{{ key.column }}
    ON shared_{{ key.column }}.key_as_found = {{ as_found | replace("{}", key.column) | replace("{number}", loop.index) }}
{% endfor %}
{% if settings.watches_siblings %}
LEFT JOIN members
    ON members.property_id = CAST(properties.id AS STRING)
LEFT JOIN sibling_rows
    ON sibling_rows.twin = members.twin
{% endif %}
WHERE NOT salesforce.is_deleted
