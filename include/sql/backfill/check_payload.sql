{% from "macros.sql" import any_of %}
{% set flags = fields.products | map(attribute="enabled") | list %}
-- What the guards look at. Beside each count of bad records is the key of one of them.
WITH known AS (
    SELECT {{ fields.upsert_key.column }}, COUNT(*) AS records
    FROM {{ settings.salesforce_table }}
    WHERE NOT is_deleted
    GROUP BY {{ fields.upsert_key.column }}
),

unmatched AS (
{% filter indent(4, first=true) %}{% include "fragments/unmatched_features.sql" %}{% endfilter +%}
),

known_properties AS (
{% filter indent(4, first=true) %}{% include "fragments/known_properties.sql" %}{% endfilter +%}
),

misspelled AS (
    SELECT DISTINCT resembles AS property_id
    FROM unmatched
    WHERE resembles IS NOT NULL
),

shared_keys AS (
    SELECT {{ fields.upsert_key.column }}
    FROM {{ settings.payload_table }}
    WHERE run_id = :run_id
    GROUP BY {{ fields.upsert_key.column }}
    HAVING COUNT(*) > 1
),

frozen AS (
    SELECT
        payload.*,
        NULLIF(trim(payload.{{ fields.upsert_key.column }}), '') AS key
    FROM {{ settings.payload_table }} AS payload
    WHERE payload.run_id = :run_id
),

checked AS (
    SELECT
        frozen.has_feature_row,
        frozen.{{ fields.property_id.column }},
        frozen.key,
        frozen.key IS NOT NULL AND known.records IS NULL AS lacks_record,
        frozen.key IS NOT NULL
        AND (shared_keys.{{ fields.upsert_key.column }} IS NOT NULL OR COALESCE(known.records, 0) > 1) AS repeats_key,
        known_properties.property_id IS NULL AS lacks_property,
        misspelled.property_id IS NOT NULL AS is_misspelled,
        {{ any_of(flags, "COALESCE(frozen.{}, FALSE)") | indent(8) }}
        AS has_flag,
        {{ any_of(flags, "frozen.{} IS NULL") | indent(8) }}
        AS has_empty_flag,
        {{ any_of(fields.dates, "COALESCE(CAST(frozen.{} AS DATE) > CAST(current_timestamp() AS DATE), FALSE)") | indent(8) }}
        AS has_future_date,
        {{ any_of(fields.dates, "COALESCE(CAST(frozen.{} AS DATE) < CAST(:earliest_date AS DATE), FALSE)") | indent(8) }}
        AS has_early_date
    FROM frozen
    LEFT JOIN shared_keys
        ON shared_keys.{{ fields.upsert_key.column }} = frozen.{{ fields.upsert_key.column }}
    LEFT JOIN known
        ON known.{{ fields.upsert_key.column }} = frozen.{{ fields.upsert_key.column }}
    LEFT JOIN known_properties
        ON known_properties.property_id = frozen.{{ fields.property_id.column }}
    LEFT JOIN misspelled
        ON misspelled.property_id = frozen.{{ fields.property_id.column }}
),

counted AS (
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
        COUNT_IF(lacks_property) AS unknown_properties,
        MIN(CASE WHEN lacks_property THEN COALESCE(key, {{ fields.property_id.column }}) END) AS unknown_properties_example,
        COUNT_IF(is_misspelled) AS misspelled_features,
        MIN(CASE WHEN is_misspelled THEN {{ fields.property_id.column }} END) AS misspelled_features_example,
        COUNT_IF(has_empty_flag) AS empty_flags,
        MIN(CASE WHEN has_empty_flag THEN key END) AS empty_flags_example,
        COUNT_IF(has_future_date) AS future_dates,
        MIN(CASE WHEN has_future_date THEN key END) AS future_dates_example,
        COUNT_IF(has_early_date) AS early_dates,
        MIN(CASE WHEN has_early_date THEN key END) AS early_dates_example
    FROM checked
),

counted_features AS (
    SELECT
        COUNT(*) AS unmatched_features,
        MIN(property_id) AS unmatched_features_example
    FROM unmatched
),

named_features AS (
{% filter indent(4, first=true) %}{% include "fragments/named_properties.sql" %}{% endfilter +%}
),

counted_names AS (
    SELECT COUNT(*) AS feature_rows
    FROM named_features
),

-- What all records in Salesforce hold, and below it what the whole feature table says. A payload alone cannot tell that the feature
-- table has lost a product: its records may be new, and never have had it.
in_salesforce AS (
    SELECT
{% for product in fields.products %}
        COUNT_IF(salesforce.{{ product.enabled.column }}) AS {{ product.name }}_true,
        COUNT_IF(NOT salesforce.{{ product.enabled.column }}) AS {{ product.name }}_false{{ "," if not loop.last }}
{% endfor %}
    FROM {{ settings.salesforce_table }} AS salesforce
    WHERE NOT salesforce.is_deleted
),

feature_rows AS (
{% filter indent(4, first=true) %}{% include "fragments/feature_rows.sql" %}{% endfilter +%}
),

in_warehouse AS (
    SELECT
{% for product in fields.products %}
        COUNT_IF(feature_rows.{{ product.enabled.column }}) AS {{ product.name }}_in_warehouse{{ "," if not loop.last }}
{% endfor %}
    FROM feature_rows
)

SELECT *
FROM counted
CROSS JOIN counted_features
CROSS JOIN counted_names
CROSS JOIN in_salesforce
CROSS JOIN in_warehouse
