{% set keys = fields.keys | map(attribute="column") | list %}
-- The entries of the table of accepted differences that a person has to look at, at most :most of each state.
-- refused: it does not count, see problem. ended: it has ended, and the reconciliation :compared_by has found the difference.
-- ends_soon: it ends within {{ settings.accepted_warning_days }} days. not_needed: the difference is gone.
WITH found AS (
{% filter indent(4, first=true) %}{% include "fragments/recorded_differences.sql" %}{% endfilter +%}
),

all_entries AS (
{% filter indent(4, first=true) %}{% include "fragments/judged_acceptances.sql" %}{% endfilter +%}
),

acceptances AS (
{% filter indent(4, first=true) %}{% include "fragments/acceptances.sql" %}{% endfilter +%}
),

-- An entry for all products is one row here. It is needed if one of them differs.
entries AS (
    SELECT
        acceptances.class,
        acceptances.salesforce_id,
        acceptances.{{ keys | join(",\n        acceptances.") }},
        acceptances.entry_product AS product,
        acceptances.reason,
        acceptances.accepted_by,
        acceptances.accepted_until,
        acceptances.is_current,
        COUNT(found.class) > 0 AS is_needed
    FROM acceptances
    LEFT JOIN found
{% filter indent(8, first=true) %}{% include "fragments/acceptance_of_difference.sql" %}{% endfilter +%}
    GROUP BY
        acceptances.class,
        acceptances.salesforce_id,
        acceptances.{{ keys | join(",\n        acceptances.") }},
        acceptances.entry_product,
        acceptances.reason,
        acceptances.accepted_by,
        acceptances.accepted_until,
        acceptances.is_current
),

listed AS (
    SELECT
        CASE
            WHEN is_current AND NOT is_needed THEN 'not_needed'
            WHEN is_current AND accepted_until <= current_date() + INTERVAL {{ settings.accepted_warning_days }} DAYS THEN 'ends_soon'
            WHEN is_needed AND NOT is_current THEN 'ended'
        END AS state,
        class,
        salesforce_id,
        {{ keys | join(",\n        ") }},
        product,
        reason,
        accepted_by,
        accepted_until,
        CAST(NULL AS STRING) AS problem
    FROM entries
    UNION ALL
    SELECT
        'refused' AS state,
        class,
        salesforce_id,
        {{ keys | join(",\n        ") }},
        product,
        reason,
        accepted_by,
        accepted_until,
        problem
    FROM all_entries
    WHERE problem IS NOT NULL
),

numbered AS (
    SELECT
        listed.*,
        COUNT(*) OVER (PARTITION BY state) AS in_state,
        row_number() OVER (
            PARTITION BY state
            ORDER BY accepted_until, class, {{ keys | join(", ") }}, salesforce_id, product, reason, accepted_by, problem
        ) AS number_in_state
    FROM listed
    WHERE state IS NOT NULL
)

SELECT
    state,
    in_state,
    class,
    salesforce_id,
    {{ fields.property_id.column }} AS property_id,
    product,
    reason,
    accepted_by,
    accepted_until,
    problem
FROM numbered
WHERE number_in_state <= :most
ORDER BY state, number_in_state
