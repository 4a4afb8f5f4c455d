-- Source query of the regular property sync that maps more columns than the property sync of this repository has.
-- Deployed to Census by census_dataset_deploy. Other columns come from feature_sync_others: the query that Census had before, as it was.
-- The features come from the feature table. A row is left out if nobody can say what its flags are, because a checkbox cannot be NULL.
WITH feature_sync_others AS (
    {{ others }}
),

feature_sync_values AS (
    WITH feature_rows AS (
{% filter indent(8, first=true) %}{% include "fragments/feature_rows.sql" %}{% endfilter +%}
    ),

    misspelled AS (
{% filter indent(8, first=true) %}{% include "fragments/misspelled_properties.sql" %}{% endfilter +%}
    )

    SELECT
{% for key in fields.keys %}
        CAST(properties.id AS STRING) AS {{ key.column }},
{% endfor %}
{% filter indent(8, first=true) %}{% include "fragments/feature_values.sql" %}{% endfilter +%}
    FROM {{ settings.properties_table }} AS properties
{% filter indent(4, first=true) %}{% include "fragments/feature_join.sql" %}{% endfilter +%}
    WHERE
{% filter indent(8, first=true) %}{% include "fragments/knows_features.sql" %}{% endfilter +%}
    QUALIFY row_number() OVER (PARTITION BY properties.id ORDER BY properties.id) = 1
)

SELECT
{% if columns %}
    {{ columns }},
{% endif %}
    feature_sync_values.{{ fields | map(attribute="column") | join(",\n    feature_sync_values.") }}
FROM feature_sync_others
INNER JOIN feature_sync_values
    ON feature_sync_values.{{ fields.property_id.column }} = CAST(feature_sync_others.{{ key }} AS STRING)
