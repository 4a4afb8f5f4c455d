{% set keys = fields.keys | map(attribute="column") | list %}
-- One row for each record of which something is accepted now. accepted: the classes, each with its product after the slash.
-- The keys belong to it. If a key of the record changes, it is no longer what was accepted.
WITH accepted_differences AS (
{% filter indent(4, first=true) %}{% include "fragments/acceptances.sql" %}{% endfilter +%}
)

SELECT
    salesforce_id,
    {{ keys | join(",\n    ") }},
    collect_set(concat(class, '/', COALESCE(product, ''))) AS accepted
FROM accepted_differences
WHERE is_current AND salesforce_id IS NOT NULL
GROUP BY
    salesforce_id,
    {{ keys | join(",\n    ") }}
