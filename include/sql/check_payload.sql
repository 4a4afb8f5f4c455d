-- What the guards look at. Each count of bad records has the key of one of them beside it.
SELECT
    COUNT(*) AS records,
    COUNT_IF(NOT has_feature_row) AS records_unmatched,
    COUNT_IF(has_flag) AS records_enabled,
    COUNT_IF(key IS NULL) AS empty_keys,
    MIN(CASE WHEN key IS NULL THEN {{ fields.property_id.column }} END) AS empty_keys_example,
    COUNT_IF(repeats_key) AS repeated_keys,
    MIN(CASE WHEN repeats_key THEN key END) AS repeated_keys_example,
    COUNT_IF(lacks_record) AS missing_keys,
    MIN(CASE WHEN lacks_record THEN key END) AS missing_keys_example,
    COUNT_IF(has_empty_flag) AS empty_flags,
    MIN(CASE WHEN has_empty_flag THEN key END) AS empty_flags_example,
    COUNT_IF(has_future_date) AS future_dates,
    MIN(CASE WHEN has_future_date THEN key END) AS future_dates_example,
    COUNT_IF(has_early_date) AS early_dates,
    MIN(CASE WHEN has_early_date THEN key END) AS early_dates_example
FROM (
    SELECT
        payload.has_feature_row,
        payload.{{ fields.property_id.column }},
        NULLIF(trim(payload.{{ fields.upsert_key.column }}), '') AS key,
        COALESCE(trim(payload.{{ fields.upsert_key.column }}) <> '', FALSE) AND known.records IS NULL AS lacks_record,
        COALESCE(trim(payload.{{ fields.upsert_key.column }}) <> '', FALSE) AND (
            COUNT(*) OVER (PARTITION BY payload.{{ fields.upsert_key.column }}) > 1 OR COALESCE(known.records, 0) > 1
        ) AS repeats_key,
        {% for product in fields.products %}
        {{ "OR " if not loop.first }}COALESCE(payload.{{ product.enabled.column }}, FALSE)
        {% endfor %}
        AS has_flag,
        {% for product in fields.products %}
        {{ "OR " if not loop.first }}payload.{{ product.enabled.column }} IS NULL
        {% endfor %}
        AS has_empty_flag,
        {% for field in fields.dates %}
        {{ "OR " if not loop.first }}COALESCE(CAST(payload.{{ field.column }} AS DATE) > CAST(current_timestamp() AS DATE), FALSE)
        {% endfor %}
        AS has_future_date,
        {% for field in fields.dates %}
        {{ "OR " if not loop.first }}COALESCE(CAST(payload.{{ field.column }} AS DATE) < CAST(:earliest_date AS DATE), FALSE)
        {% endfor %}
        AS has_early_date
    FROM {{ settings.payload_table }} AS payload
    LEFT JOIN (
        SELECT {{ fields.upsert_key.column }}, COUNT(*) AS records
        FROM {{ settings.salesforce_table }}
        WHERE NOT is_deleted
        GROUP BY {{ fields.upsert_key.column }}
    ) AS known
        ON known.{{ fields.upsert_key.column }} = payload.{{ fields.upsert_key.column }}
    WHERE payload.run_id = :run_id
) AS checked
