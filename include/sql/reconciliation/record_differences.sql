{% from "macros.sql" import insert_missing %}
{% set columns = columns_of("difference") | list %}
{% set names = columns | map(attribute="name") | list %}
{% set of_a_difference = names | reject("in", ["run_id", "compared_at"]) | list %}
-- Compares both systems and keeps each difference, so that the numbers and the lists are of one look. A run that has rows gets no more,
-- so executing it twice changes nothing.
-- One row more, of class compared, says that the run has compared: without it, no comparison would look like no difference.
MERGE INTO {{ settings.difference_table }} AS recorded
USING (
    WITH differences AS (
{% filter indent(8, first=true) %}{% include "fragments/differences.sql" %}{% endfilter +%}
    )

    SELECT
        CAST(:run_id AS STRING) AS run_id,
        current_timestamp() AS compared_at,
        {{ of_a_difference | join(",\n        ") }}
    FROM differences
    UNION ALL
    SELECT
        CAST(:run_id AS STRING) AS run_id,
        current_timestamp() AS compared_at,
        'compared' AS class
{%- for column in columns if column.name not in ("run_id", "compared_at", "class") %},
        CAST(NULL AS {{ column.type }}) AS {{ column.name }}
{%- endfor +%}
) AS found
    ON recorded.run_id = found.run_id
{{ insert_missing(names, "found") }}
