-- The properties of which something is accepted now, although no record of theirs is compared: one row for each class.
WITH accepted_differences AS (
{% filter indent(4, first=true) %}{% include "fragments/acceptances.sql" %}{% endfilter +%}
)

SELECT
    class,
    {{ fields.property_id.column }} AS property_id
FROM accepted_differences
WHERE is_current AND salesforce_id IS NULL
