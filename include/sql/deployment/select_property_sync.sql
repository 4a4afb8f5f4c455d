-- Source query of the regular property sync, Option A of the incident plan: one comprehensive sync.
-- Deployed to Census by census_dataset_deploy. The LEFT JOIN is the one whose absence caused the incident of 2025-11-21.
-- A property is left out if nobody can say what its flags are: its feature rows are ambiguous or misspell its id, or a flag is empty.
-- A checkbox cannot be NULL, and False would be a guess. It is left out too if the properties table has it twice, because Census sends no key twice.
WITH feature_rows AS (
{% filter indent(4, first=true) %}{% include "fragments/feature_rows.sql" %}{% endfilter +%}
),

misspelled AS (
{% filter indent(4, first=true) %}{% include "fragments/misspelled_properties.sql" %}{% endfilter +%}
)

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
{% filter indent(4, first=true) %}{% include "fragments/is_synced_property.sql" %}{% endfilter %}

    AND {% filter indent(4) %}{% include "fragments/knows_features.sql" %}{% endfilter +%}
QUALIFY COUNT(*) OVER (PARTITION BY properties.id) = 1
