{% from "macros.sql" import any_of, all_of %}
{% set flags = fields.products | map(attribute="enabled") | list %}
{% set property_id = "payload." ~ fields.property_id.column %}
{% set others = fields.products | length %}
-- Each record of a run once for each stratum that it belongs to. A stratum is a kind of records that a pilot should have.
-- :sentinels is a text such as '17,42': the ids of properties that everybody knows. An empty flag is no product.
WITH compared AS (
    SELECT
        payload.*,
        {{ any_of(flags, "COALESCE(payload.{}, FALSE)") | indent(8) }}
        AS has_product,
        NOT (
            {{ all_of(fields.features, "payload.{} IS NOT DISTINCT FROM payload.before_{}") | indent(12) }}
        ) AS changes
    FROM {{ settings.payload_table }} AS payload
    WHERE payload.run_id = :run_id
)
{%- if settings.twin_column %},

members AS (
{% filter indent(4, first=true) %}{% include "fragments/family_members.sql" %}{% endfilter +%}
),

siblings AS (
    SELECT members.property_id
    FROM members
    WHERE members.twin IN (SELECT shared.twin FROM members AS shared GROUP BY shared.twin HAVING COUNT(*) > 1)
)
{%- endif +%}

SELECT
    payload.record_number,
    payload.batch_number,
    payload.salesforce_id,
    payload.parent_id,
    payload.{{ fields.upsert_key.column }},
    explode(filter(
        array(
            struct(0 AS number, 'sentinel records' AS name, array_contains(split(:sentinels, ','), {{ property_id }}) AS belongs),
{% for product in fields.products %}
            struct(
                {{ loop.index }} AS number,
                '{{ product.name }}' AS name,
                COALESCE(payload.{{ product.enabled.column }}, FALSE) AS belongs
            ),
{% endfor %}
            struct({{ others + 1 }} AS number, 'no product' AS name, NOT payload.has_product AS belongs),
            struct({{ others + 2 }} AS number, 'values change' AS name, payload.changes AS belongs),
            struct({{ others + 3 }} AS number, 'values stay' AS name, NOT payload.changes AS belongs)
{%- if settings.twin_column %},
            struct({{ others + 4 }} AS number, 'has siblings' AS name, siblings.property_id IS NOT NULL AS belongs)
{%- endif +%}
        ),
        stratum -> stratum.belongs
    )) AS stratum
FROM compared AS payload
{%- if settings.twin_column %}

LEFT JOIN siblings
    ON siblings.property_id = {{ property_id }}
{%- endif +%}
