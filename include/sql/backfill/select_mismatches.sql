{% from "macros.sql" import description, most_products_first %}
{# Each field's place in the CSV. #}
{% set numbers = {} %}
{% for field in fields.features %}{% set _ = numbers.update({field.column: loop.index}) %}{% endfor %}
-- One row for each field that differs. NULL on one side becomes an empty cell.
-- cause: why it differs, by what the warehouse knows. Each row has one, so the causes add up to the rows.
-- The records of properties with most products come first.
WITH checked AS (
{% filter indent(4, first=true) %}{% include "fragments/checked_records.sql" %}{% endfilter +%}
),

compared AS (
{% filter indent(4, first=true) %}{% include "fragments/compared_records.sql" %}{% endfilter +%}
),

-- The fields of a record are one list, so that the tables are read once and not once for each field.
-- source_value: what the warehouse says now. known_cause: a cause that does not depend on what was sent.
compared_fields AS (
    SELECT
        checked.batch_number,
        checked.record_number,
{% for key in fields.keys %}
        checked.{{ key.column }},
{% endfor %}
        checked.salesforce_id,
        checked.in_salesforce,
{% filter indent(8, first=true) %}{% include "fragments/is_certain.sql" %}{% endfilter %}

        AS is_source_known,
        explode(filter(
            array(
{% for product in fields.products %}
{% set is_last = loop.last %}
{% for field in product.fields %}
                struct(
                    {{ numbers[field.column] }} AS number,
                    '{{ field.column }}' AS field,
                    checked.differs_{{ field.column }} AS differs,
                    CAST(checked.salesforce_{{ field.column }} AS STRING) AS in_salesforce,
                    CAST(checked.{{ field.column }} AS STRING) AS in_warehouse,
                    CAST(compared.{{ field.column }} AS STRING) AS source_value,
                    CASE
                        WHEN NOT checked.in_salesforce THEN 'no_record'
{% if field.kind == "checkbox" %}
                        WHEN checked.salesforce_{{ field.column }} IS NULL OR checked.{{ field.column }} IS NULL
                            THEN 'unknown_on_one_side'
{% if settings.watches_siblings %}
                        WHEN compared.through_sibling_{{ field.column }} THEN 'true_through_sibling'
{% endif %}
{% endif %}
                    END AS known_cause
                ){{ "," if not (is_last and loop.last) }}
{% endfor %}
{% endfor %}
            ),
            candidate -> candidate.differs
        )) AS difference
    FROM checked
    LEFT JOIN compared
        ON compared.salesforce_id = checked.salesforce_id
),

found AS (
    SELECT
        batch_number,
        record_number,
{% for key in fields.keys %}
        {{ key.column }},
{% endfor %}
        salesforce_id,
        in_salesforce,
        is_source_known,
        difference.number AS field_number,
        difference.field AS field,
        difference.in_salesforce AS in_salesforce_value,
        difference.in_warehouse AS in_warehouse_value,
        difference.source_value AS source_value,
        difference.known_cause AS known_cause
    FROM compared_fields
),

sent AS (
{% filter indent(4, first=true) %}{% include "fragments/sent_fields.sql" %}{% endfilter +%}
),

described AS (
{% filter indent(4, first=true) %}{% include "fragments/described_properties.sql" %}{% endfilter +%}
)

SELECT
    found.batch_number,
    found.record_number,
{% for key in fields.keys %}
    found.{{ key.column }},
{% endfor %}
    found.salesforce_id,
    found.in_salesforce,
    found.field,
    found.in_salesforce_value,
    found.in_warehouse_value,
{% filter indent(4, first=true) %}{% include "fragments/cause.sql" %}{% endfilter %}

    AS cause,
{% filter indent(4, first=true) %}{% include "fragments/sent_evidence.sql" %}{% endfilter %},
    {{ description("described") | indent(4) }}
FROM found
LEFT JOIN sent
    ON sent.salesforce_id = found.salesforce_id AND sent.field = found.field
LEFT JOIN described
    ON described.property_id = found.{{ fields.property_id.column }}
ORDER BY
    {{ most_products_first("described") | indent(4) }},
    found.{{ fields.property_id.column }},
    found.record_number,
    found.field_number
