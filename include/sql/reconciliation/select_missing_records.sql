{% from "macros.sql" import description, each_key, most_products_first %}
-- The properties that belong in Salesforce and have no record there, as the reconciliation :compared_by has found, at most :most: those
-- that nobody has accepted first, and of these the ones with most products.
-- cause: deleted_in_salesforce if the replica has a deleted record with its key. Otherwise no_record: the replica never had one, or
-- does not keep what is deleted.
-- in_all: how many there are, listed or not.
WITH recorded AS (
{% filter indent(4, first=true) %}{% include "fragments/recorded_differences.sql" %}{% endfilter +%}
),

described AS (
{% filter indent(4, first=true) %}{% include "fragments/described_properties.sql" %}{% endfilter +%}
),

acceptances AS (
{% filter indent(4, first=true) %}{% include "fragments/acceptances.sql" %}{% endfilter +%}
),

deleted AS (
    SELECT DISTINCT {{ each_key(fields.keys, "salesforce.{}") | indent(4) }} AS property_id
    FROM {{ settings.salesforce_table }} AS salesforce
    WHERE salesforce.is_deleted
),

found AS (
    SELECT *
    FROM recorded
    WHERE class = 'missing_in_salesforce'
)

SELECT
    found.{{ fields.property_id.column }},
    {{ description("described") | indent(4) }},
    CASE WHEN deleted.property_id IS NOT NULL THEN 'deleted_in_salesforce' ELSE 'no_record' END AS cause,
    COALESCE(acceptances.is_current, FALSE) AS is_accepted,
    acceptances.reason AS accepted_reason,
    acceptances.accepted_by,
    acceptances.accepted_until,
    COUNT(*) OVER () AS in_all
FROM found
LEFT JOIN described
    ON described.property_id = found.{{ fields.property_id.column }}
LEFT JOIN deleted
    ON deleted.property_id = found.{{ fields.property_id.column }}
LEFT JOIN acceptances
{% filter indent(4, first=true) %}{% include "fragments/acceptance_of_difference.sql" %}{% endfilter +%}
ORDER BY
    is_accepted,
    {{ most_products_first("described") | indent(4) }},
    found.{{ fields.property_id.column }}
LIMIT :most
