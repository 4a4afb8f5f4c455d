{% from "macros.sql" import spelling %}
-- What the feature table names, but the properties table does not have.
-- resembles: the property with that id but for case, blanks and signs, or NULL. The row may be about it, but nobody has
-- said so.
WITH named AS (
{% filter indent(4, first=true) %}{% include "fragments/named_properties.sql" %}{% endfilter +%}
),

there AS (
{% filter indent(4, first=true) %}{% include "fragments/known_properties.sql" %}{% endfilter +%}
),

nowhere AS (
    SELECT named.property_id
    FROM named
    LEFT JOIN there
        ON there.property_id = named.property_id
    WHERE there.property_id IS NULL
)

SELECT
    nowhere.property_id,
    MIN(there.property_id) AS resembles
FROM nowhere
LEFT JOIN there
    ON {{ spelling("there.property_id") }}
    = {{ spelling("nowhere.property_id") }}
GROUP BY nowhere.property_id
