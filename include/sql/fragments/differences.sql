{% from "macros.sql" import only_rows_with %}
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
    {{ in_warehouse }} AS in_warehouse_value,
    CAST(NULL AS BOOLEAN) AS has_feature_row,
    {{ no_text }} AS enabled_in_salesforce
FROM {{ table }}
{%- endmacro %}
{# All that may be wrong with a record: the class, the column of classified_records.sql that says so, and what is shown of it. #}
{% set candidates = [] %}
{% for class in ("missing_in_warehouse", "key_mismatch", "ambiguous_features") %}
{% set _ = candidates.append(("'" ~ class ~ "'", class, none, none)) %}
{% endfor %}
{% set of_flags = (("true_through_sibling",) if settings.watches_siblings else ()) + ("unknown_in_salesforce", "unknown_in_warehouse") %}
{% for product in fields.products %}
{% for class in of_flags %}
{% set _ = candidates.append(("'" ~ class ~ "'", class ~ "_" ~ product.enabled.column, product, product.enabled)) %}
{% endfor %}
{% for field in product.fields %}
{% set wrong_flag = "CASE WHEN salesforce_" ~ field.column ~ " THEN 'wrongly_true' ELSE 'wrongly_false' END" %}
{% set class = wrong_flag if field.kind == "checkbox" else "'date_differs'" %}
{% set _ = candidates.append((class, "differs_" ~ field.column, product, field)) %}
{% endfor %}
{% endfor %}
{% macro candidate(class, column, product, field) -%}
struct(
    {{ class }} AS class,
    {{ column }} AS is_found,
{% if field %}
    '{{ product.name }}' AS product,
    '{{ field.column }}' AS field,
    {{ numbers[field.column] }} AS field_number,
    CAST(salesforce_{{ field.column }} AS STRING) AS in_salesforce,
    CAST({{ field.column }} AS STRING) AS in_warehouse,
    {{ no_text }} AS enabled_in_salesforce
{% else %}
    {{ no_text }} AS product,
    {{ no_text }} AS field,
    0 AS field_number,
    {{ no_text }} AS in_salesforce,
    {{ no_text }} AS in_warehouse,
    concat_ws(
        ','
{%- for product in fields.products %},
        CASE WHEN salesforce_{{ product.enabled.column }} THEN '{{ product.enabled.column }}' END
{%- endfor +%}
    ) AS enabled_in_salesforce
{% endif %}
)
{%- endmacro %}
-- Every difference between the systems: one row for each field, or for each record or property.
-- enabled_in_salesforce: of a record that is not compared, the flags that are True in Salesforce.
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

-- Most records are right. They end here, before the values of the others become text.
judged AS (
    SELECT
        classified.*,
        {{ candidates | map(attribute=1) | join("\n        OR ") }}
        AS is_wrong
    FROM classified
),

wrong_records AS (
    SELECT
        judged.*,
        {{ only_rows_with("is_wrong") }} AS is_taken
    FROM judged
),

-- All that may be wrong with a record is one list. So the tables are read once, and not once for each field.
wrong AS (
    SELECT
        salesforce_id,
{% for key in fields.keys %}
        {{ key.column }},
{% endfor %}
        has_feature_row,
        explode(filter(
            array(
{% for each in candidates %}
                {{ candidate(*each) | indent(16) }}{{ "," if not loop.last }}
{% endfor %}
            ),
            candidate -> candidate.is_found
        )) AS difference
    FROM wrong_records
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
    difference.in_warehouse AS in_warehouse_value,
    has_feature_row,
    difference.enabled_in_salesforce AS enabled_in_salesforce
FROM wrong
UNION ALL
{{ without_record("missing_in_salesforce", "missing") }}
UNION ALL
{{ without_record("unmatched_features", "unmatched", "property_id AS " ~ fields.property_id.column, "resembles") }}
UNION ALL
{{ without_record("unknown_status", "unknown", in_warehouse="status") }}
