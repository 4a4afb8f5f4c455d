{# A value of another column as the replica's type. An empty text is no value. #}
{% macro as_held(other, value) -%}
{% if other.type == "STRING" -%}
NULLIF(trim(CAST({{ value }} AS STRING)), '')
{%- else -%}
try_cast({{ value }} AS {{ other.type }})
{%- endif %}
{%- endmacro %}
-- What the regular sync would send, compared with what the warehouse says it should. One row of counts, with the keys of examples.
-- The query of the sync may have names of its own, so the names around it begin with feature_sync.
WITH feature_sync_source AS (
    SELECT
        NULLIF(trim(CAST(source.{{ mapped.key }} AS STRING)), '') AS sync_key,
        CAST(source.{{ mapped.property_id }} AS STRING) AS property_id,
{% for field in fields.features if field.column in mapped.features %}
{% if field.kind == "datetime" %}
        date_trunc('SECOND', try_cast(source.{{ mapped.features[field.column] }} AS TIMESTAMP)) AS {{ field.column }},
{% else %}
        try_cast(source.{{ mapped.features[field.column] }} AS {{ field.kind.warehouse_type }}) AS {{ field.column }},
{% endif %}
{% endfor %}
{% for other in mapped.others %}
        source.{{ other.sql }} AS other_{{ loop.index }},
{% endfor %}
        TRUE AS is_sent
    FROM (
        {{ source }}
    ) AS source
),

-- Keys are grouped by themselves. To count them beside their rows, the warehouse would have to sort all rows with all columns.
feature_sync_repeated AS (
    SELECT sync_key
    FROM feature_sync_source
    GROUP BY sync_key
    HAVING COUNT(*) > 1
),

-- A property can be there twice. Then a row that belongs in Salesforce counts before one that does not.
feature_sync_properties AS (
    WITH judged AS (
        SELECT
            properties.id,
{% if mapped.has_name %}
            NULLIF(trim(CAST(properties.name AS STRING)), '') AS own_name,
{% endif %}
{% filter indent(12, first=true) %}{% include "fragments/is_synced_property.sql" %}{% endfilter %}

            AS is_synced
        FROM {{ settings.properties_table }} AS properties
    )

    SELECT judged.*
    FROM judged
    QUALIFY row_number() OVER (PARTITION BY judged.id ORDER BY judged.is_synced DESC) = 1
),

-- One row for each property, with the values that a backfill would send.
feature_sync_wanted AS (
    WITH feature_rows AS (
{% filter indent(8, first=true) %}{% include "fragments/feature_rows.sql" %}{% endfilter +%}
    ),

    misspelled AS (
{% filter indent(8, first=true) %}{% include "fragments/misspelled_properties.sql" %}{% endfilter +%}
    )

    SELECT
        CAST(properties.id AS STRING) AS property_id,
{% if mapped.has_name %}
        properties.own_name,
{% endif %}
        properties.is_synced,
        COALESCE(features.is_ambiguous, FALSE) OR misspelled.property_id IS NOT NULL AS is_ambiguous,
{% filter indent(8, first=true) %}{% include "fragments/feature_values.sql" %}{% endfilter +%}
    FROM feature_sync_properties AS properties
{% filter indent(4, first=true) %}{% include "fragments/feature_join.sql" %}{% endfilter +%}
    LEFT JOIN misspelled
        ON misspelled.property_id = CAST(properties.id AS STRING)
),

{% if mapped.compared %}
-- What Salesforce holds in the other fields. A key that several records have says nothing.
feature_sync_held AS (
    SELECT
        CAST(salesforce.{{ mapped.held_key }} AS STRING) AS held_key
{%- for other in mapped.compared %},
        MAX({{ as_held(other, "salesforce." ~ other.held) }}) AS held_{{ loop.index }}
{%- endfor +%}
    FROM {{ settings.salesforce_table }} AS salesforce
    WHERE NOT salesforce.is_deleted
    GROUP BY CAST(salesforce.{{ mapped.held_key }} AS STRING)
    HAVING COUNT(*) = 1
),

{% endif %}
feature_sync_compared AS (
    SELECT
        sent.sync_key,
        COALESCE(sent.is_sent, FALSE) AS is_sent,
        repeated.sync_key IS NOT NULL AS repeats_key,
        wanted.property_id,
        sent.is_sent AND wanted.property_id IS NULL AS lacks_property,
        COALESCE(wanted.is_synced, FALSE) AS is_synced,
        COALESCE(wanted.is_ambiguous, FALSE) AS is_ambiguous,
        COALESCE(sent.is_sent AND NOT wanted.is_ambiguous, FALSE) AS is_judged
{%- for field in fields.features if field.column in mapped.features %},
        sent.{{ field.column }},
        wanted.{{ field.column }} AS wanted_{{ field.column }}
{%- endfor %}
{% for other in mapped.others %},
        CAST(sent.other_{{ loop.index }} AS STRING) AS other_{{ loop.index }}
{%- endfor %}
{% for other in mapped.compared %}
{% set number = mapped.others.index(other) + 1 %}
{% set sent = as_held(other, "sent.other_" ~ number) %},
        held.held_{{ loop.index }} IS NOT NULL AS is_held_{{ number }},
        held.held_{{ loop.index }} IS NOT NULL
        AND {{ sent }} IS DISTINCT FROM held.held_{{ loop.index }}
{%- if other.sends_null %}

        AND (sent.other_{{ number }} IS NULL OR trim(CAST(sent.other_{{ number }} AS STRING)) <> '')
{%- else %}

        AND {{ sent }} IS NOT NULL
{%- endif %}

        AS overwrites_{{ number }}
{%- if mapped.has_name and other.type == "STRING" %},
        COALESCE({{ sent }} = wanted.own_name, FALSE) AS sends_name_{{ number }},
        COALESCE(held.held_{{ loop.index }} = wanted.own_name, FALSE) AS holds_name_{{ number }}
{%- endif %}
{% endfor +%}
    FROM feature_sync_source AS sent
    FULL OUTER JOIN feature_sync_wanted AS wanted
        ON wanted.property_id = sent.property_id
    LEFT JOIN feature_sync_repeated AS repeated
        ON repeated.sync_key = sent.sync_key
{% if mapped.compared %}
    LEFT JOIN feature_sync_held AS held
        ON held.held_key = sent.sync_key
{% endif %}
)

SELECT
    COUNT_IF(is_sent) AS records,
    COUNT_IF(is_sent AND sync_key IS NULL) AS empty_keys,
    COUNT_IF(repeats_key) AS repeated_keys,
    MIN(CASE WHEN repeats_key THEN sync_key END) AS repeated_keys_example,
    COUNT_IF(lacks_property) AS unknown_properties,
    MIN(CASE WHEN lacks_property THEN sync_key END) AS unknown_properties_example,
    COUNT_IF(is_sent AND NOT lacks_property AND NOT is_synced) AS unsynced_properties,
    MIN(CASE WHEN is_sent AND NOT lacks_property AND NOT is_synced THEN sync_key END) AS unsynced_properties_example,
    COUNT_IF(is_sent AND is_ambiguous) AS ambiguous_features,
    MIN(CASE WHEN is_sent AND is_ambiguous THEN sync_key END) AS ambiguous_features_example,
    COUNT_IF(is_synced AND NOT is_sent AND NOT is_ambiguous) AS missing_properties,
    MIN(CASE WHEN is_synced AND NOT is_sent AND NOT is_ambiguous THEN property_id END) AS missing_properties_example
{%- for product in fields.products %}
{% set flag = product.enabled.column %}
{% if flag in mapped.features %},
    COUNT_IF({{ flag }}) AS {{ product.name }}_enabled,
    COUNT_IF(is_judged AND wanted_{{ flag }}) AS {{ product.name }}_wanted,
    COUNT_IF(
        is_judged AND NOT {{ flag }} AND wanted_{{ flag }}
    ) AS {{ product.name }}_wrongly_false,
    COUNT_IF(
        is_judged AND {{ flag }} AND NOT wanted_{{ flag }}
    ) AS {{ product.name }}_wrongly_true,
    MIN(
        CASE WHEN is_judged AND {{ flag }} <> wanted_{{ flag }} THEN sync_key END
    ) AS {{ product.name }}_flag_example,
    COUNT_IF(
        is_judged AND {{ flag }} IS NOT NULL AND wanted_{{ flag }} IS NULL
    ) AS {{ product.name }}_guessed,
    COUNT_IF(is_sent AND {{ flag }} IS NULL) AS {{ product.name }}_empty,
    MIN(CASE WHEN is_sent AND {{ flag }} IS NULL THEN sync_key END) AS {{ product.name }}_empty_example
{%- endif %}
{% for date in product.dates if date.column in mapped.features %},
    COUNT_IF(
        is_judged AND {{ date.column }} IS DISTINCT FROM wanted_{{ date.column }}
    ) AS {{ date.column }}_differs,
    MIN(
        CASE WHEN is_judged AND {{ date.column }} IS DISTINCT FROM wanted_{{ date.column }} THEN sync_key END
    ) AS {{ date.column }}_example
{%- endfor %}
{% endfor %}
{% for other in mapped.others %}
{% set number = loop.index %},
    COUNT_IF(is_sent AND other_{{ number }} IS NOT NULL) AS other_{{ number }}_filled,
    MIN(other_{{ number }}) IS NOT DISTINCT FROM MAX(other_{{ number }}) AS other_{{ number }}_is_one_value,
    MIN(other_{{ number }}) AS other_{{ number }}_value
{%- if other in mapped.compared %},
    COUNT_IF(is_sent AND is_held_{{ number }}) AS other_{{ number }}_held,
    COUNT_IF(is_sent AND overwrites_{{ number }}) AS other_{{ number }}_overwritten,
    MIN(CASE WHEN is_sent AND overwrites_{{ number }} THEN sync_key END) AS other_{{ number }}_example
{%- if mapped.has_name and other.type == "STRING" %},
    COUNT_IF(overwrites_{{ number }} AND sends_name_{{ number }} AND NOT holds_name_{{ number }}) AS other_{{ number }}_becomes_name,
    COUNT_IF(overwrites_{{ number }} AND holds_name_{{ number }} AND NOT sends_name_{{ number }}) AS other_{{ number }}_loses_name
{%- endif %}
{%- endif %}
{% endfor +%}
FROM feature_sync_compared
