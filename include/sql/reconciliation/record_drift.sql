{% from "macros.sql" import assign, insert_missing %}
{% set columns = columns_of("drift") | map(attribute="name") | list %}
{% set found = "fragments/recorded_differences.sql" %}
{% set look = "fragments/recorded_look.sql" %}
-- Appends what the reconciliation :compared_by has found. Executing it twice leaves one row for each product.
MERGE INTO {{ settings.drift_table }} AS recorded
USING (
    WITH measured AS (
{% filter indent(8, first=true) %}{% include "fragments/measured_drift.sql" %}{% endfilter +%}
    )

    SELECT
        CAST(:compared_by AS STRING) AS run_id,
        measured.*
    FROM measured
) AS found
    ON recorded.run_id = found.run_id AND recorded.product = found.product
WHEN MATCHED THEN UPDATE SET
    {{ assign(columns | reject("in", ["run_id", "product"]), "found") | indent(4) }}
{{ insert_missing(columns, "found") }}
