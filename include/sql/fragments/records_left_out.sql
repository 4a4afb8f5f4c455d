-- Records that a run leaves as they are in every scope, although it is asked for them: of properties with ambiguous feature rows.
-- Nobody can say whether such a record differs, so the scope mismatched asks for all of them.
WITH compared AS (
{% filter indent(4, first=true) %}{% include "fragments/compared_records.sql" %}{% endfilter +%}
)

SELECT
{% for key in fields.keys %}
    compared.{{ key.column }},
{% endfor %}
    'ambiguous_features' AS reason
FROM compared
WHERE
    compared.has_ambiguous_features
    AND (compared.has_feature_row OR NOT CAST(:skip_unmatched AS BOOLEAN))
    AND CASE :scope
{% filter indent(8, first=true) %}{% include "fragments/scope_cases.sql" %}{% endfilter +%}
        WHEN 'mismatched' THEN TRUE
        ELSE FALSE
    END
