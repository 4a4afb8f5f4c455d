{% from "macros.sql" import any_differs %}
-- A flag that the replica does not know is neither enabled nor disabled.
-- One row: how many records have each product in Salesforce before the run, and how many should have it afterwards,
-- and of how many a date of it changes, whether its flag does or not.
SELECT
    COUNT(*) AS records
{%- for product in fields.products %}
{% set flag = product.enabled.column %},
    COUNT_IF(before_{{ flag }}) AS {{ product.name }}_now,
    COUNT_IF({{ flag }}) AS {{ product.name }}_after,
    COUNT_IF(before_{{ flag }} IS NULL) AS {{ product.name }}_unknown,
    COUNT_IF({{ flag }} AND NOT before_{{ flag }}) AS {{ product.name }}_to_enable,
    COUNT_IF(before_{{ flag }} AND NOT {{ flag }}) AS {{ product.name }}_to_disable,
    COUNT_IF(
        {{ any_differs(product.dates, "", "before_") | trim | indent(8) }}
    ) AS {{ product.name }}_dates
{%- endfor +%}
FROM {{ settings.payload_table }}
WHERE run_id = :run_id
