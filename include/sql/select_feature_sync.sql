-- Source query of a separate feature sync, Option B of the incident plan: only the records whose feature data is wrong in Salesforce.
-- Deployed to Census by census_dataset_deploy. A record leaves it when it was corrected and the copy of Salesforce shows that.
SELECT
{%- for field in fields %}
    {{ ", " if not loop.first }}compared.{{ field.column }}
{%- endfor %}

FROM (
    {% include "fragments/compared_records.sql" %}
) AS compared
WHERE
    {% include "fragments/differs.sql" %}
