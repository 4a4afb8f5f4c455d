-- Source query of a separate feature sync, Option B of the incident plan: only the records whose feature data is wrong in Salesforce.
-- A record is left out if the warehouse does not know one of its flags, because a checkbox cannot be NULL.
-- Deployed to Census by census_dataset_deploy. A record leaves it once it is corrected and the replica shows that.
WITH compared AS (
{% filter indent(4, first=true) %}{% include "fragments/compared_records.sql" %}{% endfilter +%}
)

SELECT
    compared.{{ fields | map(attribute="column") | join(",\n    compared.") }}
FROM compared
WHERE
{% filter indent(4, first=true) %}{% include "fragments/differs.sql" %}{% endfilter +%}
