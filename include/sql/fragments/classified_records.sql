-- Every property that either system has: each record in Salesforce with what is wrong with it, and each property without a record.
-- A field differs (differs_x_c) only where the warehouse knows the property, and the record's keys name one.
SELECT
    compared.salesforce_id,
    compared.{{ fields.property_id.column }},
    compared.{{ fields.upsert_key.column }},
    compared.has_feature_row,
    compared.has_property AND NOT compared.key_mismatch AS is_compared,
    FALSE AS missing_in_salesforce,
    NOT compared.has_property AND NOT compared.key_mismatch AS missing_in_warehouse,
    compared.key_mismatch
{%- for field in fields.features %},
    compared.{{ field.column }},
    compared.before_{{ field.column }},
    compared.has_property AND NOT compared.key_mismatch
    AND compared.{{ field.column }} IS DISTINCT FROM compared.before_{{ field.column }} AS differs_{{ field.column }}
{%- endfor %}

FROM (
    {% include "fragments/compared_records.sql" %}
) AS compared
UNION ALL
SELECT
    CAST(NULL AS STRING) AS salesforce_id,
    CAST(properties.id AS STRING) AS {{ fields.property_id.column }},
    CAST(NULL AS STRING) AS {{ fields.upsert_key.column }},
    FALSE AS has_feature_row,
    FALSE AS is_compared,
    TRUE AS missing_in_salesforce,
    FALSE AS missing_in_warehouse,
    FALSE AS key_mismatch
{%- for field in fields.features %},
    CAST(NULL AS {{ field.kind.warehouse_type }}) AS {{ field.column }},
    CAST(NULL AS {{ field.kind.warehouse_type }}) AS before_{{ field.column }},
    FALSE AS differs_{{ field.column }}
{%- endfor %}

FROM {{ settings.properties_table }} AS properties
WHERE
{% include "fragments/is_synced_property.sql" +%}
{%- for key in [fields.property_id, fields.upsert_key] %}

    AND NOT EXISTS (
        SELECT 1
        FROM {{ settings.salesforce_table }} AS salesforce
        WHERE NOT salesforce.is_deleted AND salesforce.{{ key.column }} = CAST(properties.id AS STRING)
    )
{%- endfor %}
