{% from "macros.sql" import only_rows_with %}
-- The records of a run. One that nobody can say the values of is in no scope: fragments/records_left_out.sql has these.
-- A record with an accepted difference is not in the scope mismatched. A person may name it.
-- A property without a feature row counts only if unmatched properties are sent too.
WITH compared AS (
{% filter indent(4, first=true) %}{% include "fragments/compared_records.sql" %}{% endfilter +%}
),

accepted_records AS (
{% filter indent(4, first=true) %}{% include "fragments/accepted_records.sql" %}{% endfilter +%}
),

judged AS (
    SELECT
        compared.*,
{% filter indent(8, first=true) %}{% include "fragments/is_certain.sql" %}{% endfilter %}

        AND (compared.has_feature_row OR NOT CAST(:skip_unmatched AS BOOLEAN))
        AND CASE :scope
{% filter indent(12, first=true) %}{% include "fragments/scope_cases.sql" %}{% endfilter +%}
            WHEN 'mismatched' THEN
{% filter indent(16, first=true) %}{% include "fragments/differs.sql" %}{% endfilter +%}
                AND NOT (
{% filter indent(20, first=true) %}{% include "fragments/holds_accepted.sql" %}{% endfilter +%}
                )
            ELSE FALSE
        END
        AS is_in_scope
    FROM compared
{% filter indent(4, first=true) %}{% include "fragments/accepted_join.sql" %}{% endfilter +%}
)

SELECT
    judged.*,
    FALSE AS is_undo,
    {{ only_rows_with("is_in_scope") }} AS is_chosen
FROM judged
