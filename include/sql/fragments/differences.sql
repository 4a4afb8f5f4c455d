{# Each field's place in the CSV. #}
{% set numbers = {} %}
{% for field in fields.features %}{% set _ = numbers.update({field.column: loop.index}) %}{% endfor %}
{% set no_text = "CAST(NULL AS STRING)" %}
{% macro without_record(class, table, id=fields.property_id.column, in_warehouse=no_text) -%}
SELECT
    '{{ class }}' AS class,
    {{ no_text }} AS salesforce_id,
    {{ id }},
{% if fields.keys | length > 1 %}
    {{ no_text }} AS {{ fields.upsert_key.column }},
{% endif %}
    {{ no_text }} AS product,
    {{ no_text }} AS field,
    0 AS field_number,
    {{ no_text }} AS in_salesforce_value,
    {{ in_warehouse }} AS in_warehouse_value
FROM {{ table }}
{%- endmacro %}
{% macro candidate(class, condition, product=no_text, field=no_text, number=0, in_salesforce=no_text, in_warehouse=no_text) -%}
struct(
    {{ class }} AS class,
    {{ condition }} AS is_found,
    {{ product }} AS product,
    {{ field }} AS field,
    {{ number }} AS field_number,
    {{ in_salesforce }} AS in_salesforce,
    {{ in_warehouse }} AS in_warehouse
)
{%- endmacro %}
-- Every difference between the systems: one row for each field, or for each record or property.
WITH classified AS (
{% filter indent(4, first=true) %}{% include "fragments/classified_records.sql" %}{% endfilter +%}
),

missing AS (
{% filter indent(4, first=true) %}{% include "fragments/missing_properties.sql" %}{% endfilter +%}
),

unknown AS (
{% filter indent(4, first=true) %}{% include "fragments/properties_of_unknown_status.sql" %}{% endfilter +%}
),

unmatched AS (
{% filter indent(4, first=true) %}{% include "fragments/unmatched_features.sql" %}{% endfilter +%}
),

-- All that may be wrong with a record is one list. So the tables are read once, and not once for each field.
wrong AS (
    SELECT
        salesforce_id,
{% for key in fields.keys %}
        {{ key.column }},
{% endfor %}
        explode(filter(
            array(
                {{ candidate("'missing_in_warehouse'", "missing_in_warehouse") | indent(16) }},
                {{ candidate("'key_mismatch'", "key_mismatch") | indent(16) }},
                {{ candidate("'ambiguous_features'", "ambiguous_features") | indent(16) }}
{%- for product in fields.products %}
{% if settings.watches_siblings %},
                {{ candidate(
                    "'true_through_sibling'",
                    "true_through_sibling_" ~ product.enabled.column,
                    "'" ~ product.name ~ "'",
                    "'" ~ product.enabled.column ~ "'",
                    numbers[product.enabled.column],
                    "CAST(salesforce_" ~ product.enabled.column ~ " AS STRING)",
                    "CAST(" ~ product.enabled.column ~ " AS STRING)",
                ) | indent(16) }}
{%- endif %}
{% for class in ("unknown_in_salesforce", "unknown_in_warehouse") %},
                {{ candidate(
                    "'" ~ class ~ "'",
                    class ~ "_" ~ product.enabled.column,
                    "'" ~ product.name ~ "'",
                    "'" ~ product.enabled.column ~ "'",
                    numbers[product.enabled.column],
                    "CAST(salesforce_" ~ product.enabled.column ~ " AS STRING)",
                    "CAST(" ~ product.enabled.column ~ " AS STRING)",
                ) | indent(16) }}
{%- endfor %}
{% for field in product.fields %}
{% set wrong_flag = "CASE WHEN salesforce_" ~ field.column ~ " THEN 'wrongly_true' ELSE 'wrongly_false' END" %},
                {{ candidate(
                    wrong_flag if field.kind == "checkbox" else "'date_differs'",
                    "differs_" ~ field.column,
                    "'" ~ product.name ~ "'",
                    "'" ~ field.column ~ "'",
                    numbers[field.column],
                    "CAST(salesforce_" ~ field.column ~ " AS STRING)",
                    "CAST(" ~ field.column ~ " AS STRING)",
                ) | indent(16) }}
{%- endfor %}
{% endfor +%}
            ),
            candidate -> candidate.is_found
        )) AS difference
    FROM classified
)

SELECT
    difference.class AS class,
    salesforce_id,
{% for key in fields.keys %}
    {{ key.column }},
{% endfor %}
    difference.product AS product,
    difference.field AS field,
    difference.field_number AS field_number,
    difference.in_salesforce AS in_salesforce_value,
    difference.in_warehouse AS in_warehouse_value
FROM wrong
UNION ALL
{{ without_record("missing_in_salesforce", "missing") }}
UNION ALL
{{ without_record("unmatched_features", "unmatched", "property_id AS " ~ fields.property_id.column, "resembles") }}
UNION ALL
{{ without_record("unknown_status", "unknown", in_warehouse="status") }}
