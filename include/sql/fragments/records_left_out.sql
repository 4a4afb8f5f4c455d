{% from "macros.sql" import any_of, is_accepted %}
{% set flags = fields.products | map(attribute="enabled") | list %}
{% macro unless_accepted(reason, class) -%}
CASE
    WHEN :scope = 'mismatched' AND {{ is_accepted(class) }} THEN 'accepted'
    ELSE '{{ reason }}'
END
{%- endmacro %}
-- Records that a run leaves as they are in every scope, although it is asked for them, because nobody can say what they should hold:
-- their keys disagree or are shared, or the warehouse does not know their property, or its feature rows are ambiguous.
-- Nobody can say whether such a record differs, so the scope mismatched asks for all of them.
-- The scope mismatched also leaves out records with an accepted difference, or with a flag that the warehouse does not know.
-- A person may name them. Then the guards refuse an unknown flag.
{% if settings.watches_siblings %}
-- So it does with those that have a flag which is True through an ACTIVE sibling.
{% endif %}
-- If people have accepted what is wrong with a record, the reason is accepted in the scope mismatched.
WITH compared AS (
{% filter indent(4, first=true) %}{% include "fragments/compared_records.sql" %}{% endfilter +%}
),

accepted_records AS (
{% filter indent(4, first=true) %}{% include "fragments/accepted_records.sql" %}{% endfilter +%}
),

reasoned AS (
    SELECT
        compared.*,
        CASE
            WHEN compared.key_mismatch THEN
                {{ unless_accepted("key_mismatch", "key_mismatch") | indent(16) }}
            WHEN NOT compared.has_property THEN
                {{ unless_accepted("no_property", "missing_in_warehouse") | indent(16) }}
            WHEN compared.has_ambiguous_features THEN
                {{ unless_accepted("ambiguous_features", "ambiguous_features") | indent(16) }}
            WHEN :scope <> 'mismatched' THEN NULL
            WHEN
{% for product in fields.products %}
                {{ "OR " if not loop.first -}}
                (
                    compared.{{ product.enabled.column }} IS NULL
                    AND NOT {{ is_accepted("unknown_in_warehouse", product.name) }}
                )
{% endfor %}
            THEN 'unknown_flag'
            WHEN
                {{ any_of(flags, "compared.{} IS NULL") | indent(16) }}
            THEN 'accepted'
{% if settings.watches_siblings %}
            WHEN
                {{ any_of(flags, "compared.through_sibling_{}") | indent(16) }}
            THEN 'true_through_sibling'
{% endif %}
            WHEN
{% filter indent(16, first=true) %}{% include "fragments/holds_accepted.sql" %}{% endfilter +%}
            THEN 'accepted'
        END AS reason
    FROM compared
{% filter indent(4, first=true) %}{% include "fragments/accepted_join.sql" %}{% endfilter +%}
)

SELECT
{% for key in fields.keys %}
    compared.{{ key.column }},
{% endfor %}
    compared.reason
FROM reasoned AS compared
WHERE
    compared.reason IS NOT NULL
    AND (compared.has_feature_row OR compared.reason IN ('key_mismatch', 'no_property') OR NOT CAST(:skip_unmatched AS BOOLEAN))
    AND CASE :scope
{% filter indent(8, first=true) %}{% include "fragments/scope_cases.sql" %}{% endfilter +%}
        WHEN 'mismatched' THEN TRUE
        ELSE FALSE
    END
