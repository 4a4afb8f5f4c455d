-- Every difference between the systems, at most :most of each class. No value on one side is an empty cell.
WITH classified AS (
    {% include "fragments/classified_records.sql" %}
)

SELECT class, {{ fields.property_id.column }}, {{ fields.upsert_key.column }}, product, field, in_salesforce_value, in_warehouse_value
FROM (
    SELECT
        found.*,
        row_number() OVER (
            PARTITION BY found.class
            ORDER BY found.{{ fields.property_id.column }}, found.{{ fields.upsert_key.column }}, found.field_number
        ) AS number_in_class
    FROM (
        {% for product in fields.products %}
        {% set position = loop.index %}
        {% for field in product.fields %}
        {{ "UNION ALL " if not (loop.first and position == 1) -}}
        SELECT
            {% if field.kind == "checkbox" %}
            CASE WHEN before_{{ field.column }} THEN 'wrongly_true' ELSE 'wrongly_false' END AS class,
            {% else %}
            'date_differs' AS class,
            {% endif %}
            {{ fields.property_id.column }},
            {{ fields.upsert_key.column }},
            '{{ product.name }}' AS product,
            '{{ field.column }}' AS field,
            {{ 3 * position + loop.index }} AS field_number,
            CAST(before_{{ field.column }} AS STRING) AS in_salesforce_value,
            CAST({{ field.column }} AS STRING) AS in_warehouse_value
        FROM classified
        WHERE differs_{{ field.column }}
        {% endfor %}
        {% endfor %}
        {% for class in ["missing_in_salesforce", "missing_in_warehouse", "key_mismatch"] %}
        UNION ALL
        SELECT
            '{{ class }}' AS class,
            {{ fields.property_id.column }},
            {{ fields.upsert_key.column }},
            CAST(NULL AS STRING) AS product,
            CAST(NULL AS STRING) AS field,
            0 AS field_number,
            CAST(NULL AS STRING) AS in_salesforce_value,
            CAST(NULL AS STRING) AS in_warehouse_value
        FROM classified
        WHERE {{ class }}
        {% endfor %}
    ) AS found
) AS numbered
WHERE number_in_class <= :most
ORDER BY class, number_in_class
