-- Freezes the records that the fragment named by `records` selects.
-- Inserts a run's records only when the run has none yet, so executing it twice changes nothing.
MERGE INTO {{ settings.payload_table }} AS frozen
USING (
    SELECT
        :run_id AS run_id,
        placed.*,
        {% include "fragments/first_batch_number.sql" %}
        AS batch_number,
        current_timestamp() AS frozen_at
    FROM (
        {% include "fragments/placed_records.sql" %}
    ) AS placed
    WHERE NOT EXISTS (SELECT 1 FROM {{ settings.payload_table }} AS former WHERE former.run_id = :run_id)
) AS source
    ON frozen.run_id = source.run_id AND frozen.record_number = source.record_number
{% set columns %}
run_id, record_number, batch_number, frozen_at, salesforce_id, parent_id, has_feature_row
{%- for field in fields %}, {{ field.column }}{% endfor %}
{%- for field in fields.features %}, before_{{ field.column }}{% endfor %}
{% endset %}
WHEN NOT MATCHED THEN INSERT (
    {{ columns | trim }}
) VALUES (
{%- for column in (columns | trim).split(", ") %}
    {{ ", " if not loop.first }}source.{{ column }}
{%- endfor %}

)
