SELECT
    COUNT(*) AS records,
    COUNT_IF(NOT has_feature_row) AS records_unmatched,
    COUNT(DISTINCT CASE WHEN trim({{ fields.upsert_key.column }}) <> '' THEN {{ fields.upsert_key.column }} END) AS distinct_keys,
    COUNT_IF({{ fields.upsert_key.column }} IS NULL OR trim({{ fields.upsert_key.column }}) = '') AS empty_keys,
    COUNT_IF(
        {% for product in fields.products %}
        {{ "OR " if not loop.first }}{{ product.enabled.column }} IS NULL
        {% endfor %}
    ) AS empty_flags
FROM {{ settings.payload_table }}
WHERE run_id = :run_id
