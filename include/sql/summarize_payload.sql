-- One row: for each product, how many records have it in Salesforce before the run and how many should after it.
SELECT
    COUNT(*) AS records
{%- for product in fields.products %},
    COUNT_IF(before_{{ product.enabled.column }}) AS {{ product.name }}_now,
    COUNT_IF({{ product.enabled.column }}) AS {{ product.name }}_after,
    COUNT_IF({{ product.enabled.column }} AND NOT COALESCE(before_{{ product.enabled.column }}, FALSE)) AS {{ product.name }}_to_enable,
    COUNT_IF(before_{{ product.enabled.column }} AND NOT {{ product.enabled.column }}) AS {{ product.name }}_to_disable
{%- endfor %}

FROM {{ settings.payload_table }}
WHERE run_id = :run_id
