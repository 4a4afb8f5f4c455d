-- Source query of the regular property sync, Option A of the incident plan: one comprehensive sync.
-- Deployed to Census by census_dataset_deploy. The LEFT JOIN is the one whose absence caused the incident of 2025-11-21.
SELECT
    properties.name,
    properties.address,
    properties.company_id,
    properties.company_name,
    properties.status,
    properties.sfdc_id,
    properties.updated_at,
{% for key in fields.keys %}
    CAST(properties.id AS STRING) AS {{ key.column }},
{% endfor %}
{% filter indent(4, first=true) %}{% include "fragments/feature_values.sql" %}{% endfilter +%}
FROM {{ settings.properties_table }} AS properties
{% include "fragments/feature_join.sql" +%}
WHERE
{% filter indent(4, first=true) %}{% include "fragments/is_synced_property.sql" %}{% endfilter +%}
