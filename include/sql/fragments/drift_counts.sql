-- One row a product: what both systems hold, and what differs. The last columns count properties, and are the same in each row.
SELECT
    counted.name AS product,
    COUNT_IF(counted.is_compared) AS properties_checked,
    COUNT_IF(counted.is_compared AND counted.enabled_before) AS enabled_in_salesforce,
    COUNT_IF(counted.is_compared AND counted.enabled) AS enabled_in_warehouse,
    COUNT_IF(counted.flag_differs OR counted.date_differs) AS mismatched,
    COUNT_IF(counted.flag_differs AND NOT counted.enabled_before) AS wrongly_false,
    COUNT_IF(counted.flag_differs AND counted.enabled_before) AS wrongly_true,
    COUNT_IF(counted.date_differs) AS date_differs,
    COUNT_IF(counted.any_differs) AS properties_mismatched,
    COUNT_IF(counted.any_differs AND NOT counted.has_feature_row) AS properties_unmatched,
    COUNT_IF(counted.missing_in_salesforce) AS missing_in_salesforce,
    COUNT_IF(counted.missing_in_warehouse) AS missing_in_warehouse,
    COUNT_IF(counted.key_mismatch) AS key_mismatch
FROM (
    SELECT
        product.name,
        classified.is_compared,
        classified.has_feature_row,
        classified.missing_in_salesforce,
        classified.missing_in_warehouse,
        classified.key_mismatch,
        CASE product.name
            {% for each in fields.products %}
            WHEN '{{ each.name }}' THEN classified.{{ each.enabled.column }}
            {% endfor %}
        END AS enabled,
        CASE product.name
            {% for each in fields.products %}
            WHEN '{{ each.name }}' THEN COALESCE(classified.before_{{ each.enabled.column }}, FALSE)
            {% endfor %}
        END AS enabled_before,
        CASE product.name
            {% for each in fields.products %}
            WHEN '{{ each.name }}' THEN classified.differs_{{ each.enabled.column }}
            {% endfor %}
        END AS flag_differs,
        CASE product.name
            {% for each in fields.products %}
            WHEN '{{ each.name }}' THEN classified.differs_{{ each.start.column }} OR classified.differs_{{ each.updated.column }}
            {% endfor %}
        END AS date_differs,
        {% for field in fields.features %}
        {{ "OR " if not loop.first }}classified.differs_{{ field.column }}
        {% endfor %}
        AS any_differs
    FROM (
        {% include "fragments/classified_records.sql" %}
    ) AS classified
    CROSS JOIN (
        {% for each in fields.products %}
        {{ "UNION ALL " if not loop.first }}SELECT '{{ each.name }}' AS name
        {% endfor %}
    ) AS product
) AS counted
GROUP BY counted.name
