{% from "macros.sql" import description, most_products_first %}
{% set keys = fields.keys | map(attribute="column") | list %}
-- Every difference that the reconciliation :compared_by has found, at most :most of each class: those that nobody has accepted first, and
-- of these the ones of properties with most products.
-- NULL on one side becomes an empty cell. An acceptance that has ended is shown too, but is_accepted is FALSE.
-- cause: why it differs, by what the warehouse knows. of_cause: how many differences have this cause and are accepted or not like
-- this one, listed or not. For each there is one row at least, so these numbers add up to all differences.
-- is_listed: it is among the first :most of its class.
-- What was sent last is looked for in the run :run_id, or in every run of ours if it is NULL.
WITH found AS (
{% filter indent(4, first=true) %}{% include "fragments/recorded_differences.sql" %}{% endfilter +%}
),

acceptances AS (
{% filter indent(4, first=true) %}{% include "fragments/acceptances.sql" %}{% endfilter +%}
),

described AS (
{% filter indent(4, first=true) %}{% include "fragments/described_properties.sql" %}{% endfilter +%}
),

sent AS (
{% filter indent(4, first=true) %}{% include "fragments/sent_fields.sql" %}{% endfilter +%}
),

-- source_value: what the warehouse says now. known_cause: a cause that the class has, whatever was sent.
with_known_causes AS (
    SELECT
        found.*,
        found.in_warehouse_value AS source_value,
        TRUE AS is_source_known,
        CASE
            WHEN found.class IN ('wrongly_false', 'wrongly_true', 'date_differs') THEN NULL
            WHEN found.class = 'true_through_sibling' THEN 'true_through_sibling'
            WHEN found.class = 'missing_in_salesforce' THEN 'no_record'
            ELSE 'unknown_on_one_side'
        END AS known_cause
    FROM found
),

explained AS (
    SELECT
        found.*,
{% filter indent(8, first=true) %}{% include "fragments/cause.sql" %}{% endfilter %}

        AS cause,
{% filter indent(8, first=true) %}{% include "fragments/sent_evidence.sql" %}{% endfilter +%}
    FROM with_known_causes AS found
    LEFT JOIN sent
        ON sent.salesforce_id = found.salesforce_id AND sent.field = found.field
),

compared_with_acceptances AS (
    SELECT
        found.*,
        COALESCE(acceptances.is_current, FALSE) AS is_accepted,
        acceptances.reason AS accepted_reason,
        acceptances.accepted_by,
        acceptances.accepted_until,
        {{ description("described") | indent(8) }}
    FROM explained AS found
    LEFT JOIN acceptances
{% filter indent(8, first=true) %}{% include "fragments/acceptance_of_difference.sql" %}{% endfilter +%}
    LEFT JOIN described
        ON described.property_id = found.{{ fields.property_id.column }}
),

numbered AS (
    SELECT
        compared_with_acceptances.*,
        row_number() OVER (
            PARTITION BY class
            ORDER BY
                is_accepted,
                {{ most_products_first("compared_with_acceptances") | indent(16) }},
                {{ keys | join(", ") }},
                salesforce_id,
                field_number
        ) AS number_in_class,
        COUNT(*) OVER (PARTITION BY cause, is_accepted) AS of_cause,
        row_number() OVER (
            PARTITION BY cause, is_accepted
            ORDER BY class, {{ keys | join(", ") }}, salesforce_id, field_number
        ) AS number_of_cause
    FROM compared_with_acceptances
)

SELECT
    class,
    salesforce_id,
    {{ keys | join(",\n    ") }},
    product,
    field,
    in_salesforce_value,
    in_warehouse_value,
    is_accepted,
    accepted_reason,
    accepted_by,
    accepted_until,
    cause,
    sent_by_run,
    sent_outcome,
    sent_value,
    before_value,
    sent_from,
    sent_until,
    rejection,
    changed_at,
    changed_by,
    {{ description("numbered") | indent(4) }},
    of_cause,
    number_in_class <= :most AS is_listed
FROM numbered
WHERE number_in_class <= :most OR number_of_cause = 1
ORDER BY
    is_accepted,
    {{ most_products_first("numbered") | indent(4) }},
    {{ keys | join(",\n    ") }},
    salesforce_id,
    class,
    number_in_class
