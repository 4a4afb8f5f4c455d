-- Appends what a reconciliation found; executing it twice leaves one row a product.
MERGE INTO {{ settings.drift_table }} AS recorded
USING (
    {% include "fragments/measured_drift.sql" %}
) AS found
    ON recorded.run_id = :run_id AND recorded.product = found.product
{% set columns %}
checked_at, copy_synced_at, properties_checked, enabled_in_salesforce, enabled_in_warehouse, mismatched, wrongly_false, wrongly_true,
date_differs, accuracy, properties_mismatched, properties_unmatched, missing_in_salesforce, missing_in_warehouse, key_mismatch
{% endset %}
{% set columns = columns.split(",") | map("trim") | list %}
WHEN MATCHED THEN UPDATE SET
{% for column in columns %}
    {{ column }} = found.{{ column }}{{ "," if not loop.last }}
{% endfor %}
WHEN NOT MATCHED THEN INSERT (
    run_id, product, {{ columns | join(", ") }}
) VALUES (
    :run_id, found.product, {% for column in columns %}{{ ", " if not loop.first }}found.{{ column }}{% endfor %}

)
