-- Properties that belong in Salesforce, but that no record there names by {{ "either of its keys" if fields.keys | length > 1 else "its key" }}.
SELECT CAST(properties.id AS STRING) AS {{ fields.property_id.column }}
FROM {{ settings.properties_table }} AS properties
WHERE
{% filter indent(4, first=true) %}{% include "fragments/is_synced_property.sql" %}{% endfilter %}
{% for key in fields.keys %}

    AND NOT EXISTS (
        SELECT 1
        FROM {{ settings.salesforce_table }} AS salesforce
        WHERE NOT salesforce.is_deleted AND salesforce.{{ key.column }} = CAST(properties.id AS STRING)
    )
{%- endfor %}
