-- What the reconciliation measures, with the time and with how far the copy of Salesforce goes.
SELECT
    drift.*,
    CAST(drift.properties_checked - drift.mismatched AS DOUBLE) / NULLIF(drift.properties_checked, 0) AS accuracy,
    copy.synced_at AS copy_synced_at,
    current_timestamp() AS checked_at
FROM (
    {% include "fragments/drift_counts.sql" %}
) AS drift
CROSS JOIN (
    SELECT MAX(_fivetran_synced) AS synced_at
    FROM {{ settings.salesforce_table }}
) AS copy
