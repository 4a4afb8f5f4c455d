-- What last_sent.sql has, with one row for each field, of the records of `found`.
-- is_before_known: a flag that the replica did not know before that run is unknown.
WITH last_sent AS (
{% filter indent(4, first=true) %}{% include "fragments/last_sent.sql" %}{% endfilter +%}
),

fields_sent AS (
    SELECT
        salesforce_id,
        run_id,
        run_started_at,
        run_ended_at,
        rejection,
        outcome,
        is_undo,
        changed_at,
        is_shown,
        has_arrived,
        explode(
            array(
{% for field in fields.features %}
                struct(
                    '{{ field.column }}' AS field,
                    CAST({{ field.column }} AS STRING) AS sent_value,
                    CAST(before_{{ field.column }} AS STRING) AS before_value,
                    {{ "before_" ~ field.column ~ " IS NOT NULL" if field.kind == "checkbox" else "TRUE" }} AS is_before_known,
                    arrived_{{ field.column }} AS has_arrived
                ){{ "," if not loop.last }}
{% endfor %}
            )
        ) AS each_field
    FROM last_sent
    WHERE salesforce_id IN (SELECT found.salesforce_id FROM found)
)

SELECT
    salesforce_id,
    run_id,
    run_started_at,
    run_ended_at,
    rejection,
    outcome,
    is_undo,
    changed_at,
    is_shown,
    has_arrived,
    each_field.field AS field,
    each_field.sent_value AS sent_value,
    each_field.before_value AS before_value,
    each_field.is_before_known AS is_before_known,
    each_field.has_arrived AS has_field_arrived
FROM fields_sent
