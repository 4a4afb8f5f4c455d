{% from "macros.sql" import any_differs, differs, is_accepted, is_flag_accepted %}
{# Whether one of the differences of a record of compared_records.sql is accepted, by the row of accepted_records.sql beside it. #}
{% for product in fields.products %}
{% set flag = product.enabled.column %}
{{- "\n\nOR " if not loop.first }}(
    {{ differs(product.enabled, "compared.", "compared.salesforce_") }}
    AND {{ is_flag_accepted(product) | indent(4) }}
)
{%- if product.dates %}

OR (
    (
        {{ any_differs(product.dates, "compared.", "compared.salesforce_") | indent(8) }}
    )
    AND {{ is_accepted("date_differs", product.name) }}
)
{%- endif %}
{%- endfor %}
