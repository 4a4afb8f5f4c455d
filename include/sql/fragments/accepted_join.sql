LEFT JOIN accepted_records
    ON accepted_records.salesforce_id = compared.salesforce_id
{%- for key in fields.keys %}

    AND accepted_records.{{ key.column }} IS NOT DISTINCT FROM compared.{{ key.column }}
{%- endfor %}
