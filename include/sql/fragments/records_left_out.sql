{% from "macros.sql" import any_of %}
{% set flags = fields.products | map(attribute="enabled") | list %}
-- Records that a run leaves as they are in every scope, although it is asked for them: of properties with ambiguous feature rows.
-- Nobody can say whether such a record differs, so the scope mismatched asks for all of them.
{% if settings.watches_siblings %}
-- The scope mismatched also leaves out those with a flag that is True through an ACTIVE sibling. A person may name them.
{% endif %}
WITH compared AS (
{% filter indent(4, first=true) %}{% include "fragments/compared_records.sql" %}{% endfilter +%}
)

SELECT
{% for key in fields.keys %}
    compared.{{ key.column }},
{% endfor %}
{% if settings.watches_siblings %}
    CASE WHEN compared.has_ambiguous_features THEN 'ambiguous_features' ELSE 'true_through_sibling' END AS reason
{% else %}
    'ambiguous_features' AS reason
{% endif %}
FROM compared
WHERE
{% if settings.watches_siblings %}
    (
        compared.has_ambiguous_features
        OR (
            :scope = 'mismatched'
            AND compared.has_property
            AND NOT compared.key_mismatch
            AND (
                {{ any_of(flags, "compared.through_sibling_{}") | indent(16) }}
            )
        )
    )
{% else %}
    compared.has_ambiguous_features
{% endif %}
    AND (compared.has_feature_row OR NOT CAST(:skip_unmatched AS BOOLEAN))
    AND CASE :scope
{% filter indent(8, first=true) %}{% include "fragments/scope_cases.sql" %}{% endfilter +%}
        WHEN 'mismatched' THEN TRUE
        ELSE FALSE
    END
