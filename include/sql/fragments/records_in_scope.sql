-- The records of a run. A property without a feature row counts only if unmatched properties are sent too.
-- The filter runs in a sub-query that returns ids only. Beside 42 renamed columns, Spark's optimizer would derive
-- a constraint for every combination of names and run out of memory (SPARK-33152).
WITH compared AS (
{% filter indent(4, first=true) %}{% include "fragments/compared_records.sql" %}{% endfilter +%}
)

SELECT in_scope.*
FROM compared AS in_scope
WHERE in_scope.salesforce_id IN (
    SELECT compared.salesforce_id
    FROM compared
    WHERE
        (compared.has_feature_row OR NOT CAST(:skip_unmatched AS BOOLEAN))
        AND CASE :scope
            WHEN 'all' THEN TRUE
            WHEN 'created_between' THEN
                CAST(compared.created_date AS DATE) BETWEEN CAST(:created_from AS DATE) AND CAST(:created_to AS DATE)
            WHEN 'property_ids' THEN
                array_contains(split(:property_ids, ','), compared.{{ fields.property_id.column }})
            WHEN 'mismatched' THEN
{% filter indent(16, first=true) %}{% include "fragments/differs.sql" %}{% endfilter +%}
            ELSE FALSE
        END
)
