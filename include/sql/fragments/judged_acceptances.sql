{% set property_id = fields.property_id.column %}
{% set of_flags = "'wrongly_false', 'wrongly_true', 'true_through_sibling', 'unknown_in_salesforce', 'unknown_in_warehouse'" %}
{% set of_properties = "'missing_in_salesforce', 'unknown_status', 'unmatched_features'" %}
{% set of_records = "'missing_in_warehouse', 'key_mismatch', 'ambiguous_features'" %}
-- Every entry of the table of accepted differences. problem: why it does not count, or NULL if it is complete.
-- Some classes are about properties without a comparable record. They name the property; all others name the record.
-- has_products: the class is about one product. Then an entry without a product is about all of them.
SELECT
    entries.*,
    entries.class IN (
        'date_differs',
        {{ of_flags }}
    ) AS has_products,
    CASE
        WHEN entries.class IS NULL OR entries.class NOT IN (
            'date_differs',
            {{ of_flags }},
            {{ of_properties }},
            {{ of_records }}
        ) THEN 'its class is not known'
        WHEN
            entries.class NOT IN ({{ of_properties }})
            AND COALESCE(trim(entries.salesforce_id), '') = ''
            THEN 'it names no record: salesforce_id is empty'
        WHEN
            entries.class IN ({{ of_properties }})
            AND COALESCE(trim(entries.{{ property_id }}), '') = ''
            THEN 'it names no property: {{ property_id }} is empty'
        WHEN entries.class IN ({{ of_properties }})
            AND entries.salesforce_id IS NOT NULL
            THEN 'its class is about a property without a record, so salesforce_id must be NULL'
{% if fields.keys | length > 1 %}
        WHEN entries.class IN ({{ of_properties }})
            AND entries.{{ fields.upsert_key.column }} IS NOT NULL
            THEN 'its class is about a property without a record, so {{ fields.upsert_key.column }} must be NULL'
{% endif %}
        WHEN
            entries.product IS NOT NULL
            AND entries.class NOT IN (
                'date_differs',
                {{ of_flags }}
            )
            THEN 'its class is not about a product, so product must be NULL'
        WHEN entries.product NOT IN (
            '{{ fields.products | map(attribute="name") | join("',\n            '") }}'
        ) THEN 'its product is not in the field table'
        WHEN COALESCE(trim(entries.reason), '') = '' THEN 'it has no reason'
        WHEN COALESCE(trim(entries.accepted_by), '') = '' THEN 'it names nobody: accepted_by is empty'
        WHEN entries.accepted_until IS NULL THEN 'it has no end date: accepted_until is NULL'
        WHEN entries.accepted_at IS NULL THEN 'it does not say when it was accepted: accepted_at is NULL'
        WHEN entries.accepted_at > current_timestamp() THEN 'it was accepted in the future: look at accepted_at'
        WHEN entries.accepted_until > CAST(entries.accepted_at AS DATE) + INTERVAL {{ settings.accepted_days_limit }} DAYS
            THEN 'its end date is more than {{ settings.accepted_days_limit }} days (ACCEPTED_DAYS_LIMIT) after accepted_at'
    END AS problem
FROM {{ settings.accepted_table }} AS entries
