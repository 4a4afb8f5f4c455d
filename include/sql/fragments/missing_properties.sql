{% from "macros.sql" import each_key %}
-- Properties that belong in Salesforce, but that no record there names by {{ "either of its keys" if fields.keys | length > 1 else "its key" }}.
WITH held_keys AS (
    SELECT {{ each_key(fields.keys, "salesforce.{}") | indent(4) }} AS property_id
    FROM {{ settings.salesforce_table }} AS salesforce
    WHERE NOT salesforce.is_deleted
)

SELECT CAST(properties.id AS STRING) AS {{ fields.property_id.column }}
FROM {{ settings.properties_table }} AS properties
LEFT ANTI JOIN held_keys
    ON held_keys.property_id = CAST(properties.id AS STRING)
WHERE
{% filter indent(4, first=true) %}{% include "fragments/is_synced_property.sql" %}{% endfilter +%}
