-- One row for each field that differs, in the order of the payload. NULL on one side becomes an empty cell.
WITH checked AS (
{% filter indent(4, first=true) %}{% include "fragments/checked_records.sql" %}{% endfilter +%}
),

-- The fields of a record are one list, so that the tables are read once and not once for each field.
differences AS (
    SELECT
        batch_number,
        record_number,
{% for key in fields.keys %}
        {{ key.column }},
{% endfor %}
        in_salesforce,
        explode(filter(
            array(
{% for field in fields.features %}
                struct(
                    {{ loop.index }} AS number,
                    '{{ field.column }}' AS field,
                    differs_{{ field.column }} AS differs,
                    CAST(salesforce_{{ field.column }} AS STRING) AS in_salesforce,
                    CAST({{ field.column }} AS STRING) AS in_warehouse
                ){{ "," if not loop.last }}
{% endfor %}
            ),
            compared -> compared.differs
        )) AS difference
    FROM checked
)

SELECT
    batch_number,
    record_number,
{% for key in fields.keys %}
    {{ key.column }},
{% endfor %}
    in_salesforce,
    difference.field AS field,
    difference.in_salesforce AS in_salesforce_value,
    difference.in_warehouse AS in_warehouse_value
FROM differences
ORDER BY record_number, difference.number
