{% from "macros.sql" import insert_missing %}
{% set columns = columns_of("accepted_difference") | map(attribute="name") | list %}
-- Accepts the differences that a person names. Executing it twice leaves one entry for each.
MERGE INTO {{ settings.accepted_table }} AS accepted
USING (
    WITH chosen AS (
{% filter indent(8, first=true) %}{% include "fragments/chosen_differences.sql" %}{% endfilter +%}
    )

    SELECT
        :run_id AS run_id,
        chosen.*,
        :reason AS reason,
        :accepted_by AS accepted_by,
        CAST(:accepted_until AS DATE) AS accepted_until,
        current_timestamp() AS accepted_at
    FROM chosen
) AS found
    ON accepted.run_id = found.run_id
    AND accepted.class = found.class
    AND accepted.salesforce_id IS NOT DISTINCT FROM found.salesforce_id
{% for key in fields.keys %}
    AND accepted.{{ key.column }} IS NOT DISTINCT FROM found.{{ key.column }}
{% endfor %}
    AND accepted.product IS NOT DISTINCT FROM found.product
{{ insert_missing(columns, "found") }}
