-- What a reconciliation measures, when, and up to which time the replica was filled.
WITH drift AS (
{% filter indent(4, first=true) %}{% include "fragments/drift_counts.sql" %}{% endfilter +%}
),

replica AS (
    SELECT MAX(_fivetran_synced) AS synced_at
    FROM {{ settings.salesforce_table }}
)

SELECT
    drift.*,
    CAST(drift.properties_checked - drift.mismatched AS DOUBLE) / NULLIF(drift.properties_checked, 0) AS accuracy,
    replica.synced_at AS copy_synced_at,
    current_timestamp() AS checked_at
FROM drift
CROSS JOIN replica
