-- The records of a run. A property without a feature row counts only when unmatched properties are to be sent.
-- A query of its own, which gives nothing but ids, chooses them: from a filter on columns that are selected beside it under other
-- names, Spark's optimizer derives a constraint for every combination of the names (SPARK-33152), and 42 columns are too many.
SELECT in_scope.*
FROM (
    {% include "fragments/compared_records.sql" %}
) AS in_scope
WHERE in_scope.salesforce_id IN (
    SELECT compared.salesforce_id
    FROM (
        {% include "fragments/compared_records.sql" %}
    ) AS compared
    WHERE
        (compared.has_feature_row OR NOT CAST(:skip_unmatched AS BOOLEAN))
        AND CASE :scope
            WHEN 'all' THEN TRUE
            WHEN 'created_between' THEN
                CAST(compared.created_date AS DATE) BETWEEN CAST(:created_from AS DATE) AND CAST(:created_to AS DATE)
            WHEN 'property_ids' THEN
                array_contains(split(:property_ids, ','), compared.{{ fields.property_id.column }})
            WHEN 'mismatched' THEN
                {% include "fragments/differs.sql" %}
            ELSE FALSE
        END
)
