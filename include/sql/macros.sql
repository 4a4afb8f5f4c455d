{# What several statements need. In a condition, {} is the name of a field's column. Of no field, none is and all are. #}

{% macro any_of(fields, condition) -%}
{% for field in fields %}
{{ "\nOR " if not loop.first }}{{ condition | replace("{}", field.column) }}
{%- else %}
FALSE
{%- endfor %}
{% endmacro %}

{% macro all_of(fields, condition) -%}
{% for field in fields %}
{{ "\nAND " if not loop.first }}{{ condition | replace("{}", field.column) }}
{%- else %}
TRUE
{%- endfor %}
{% endmacro %}

{# For a MERGE. The columns are names; the source has a column of each name. #}

{% macro assign(columns, source) -%}
{% for column in columns %}
{{ ",\n" if not loop.first }}{{ column }} = {{ source }}.{{ column }}
{%- endfor %}
{% endmacro %}

{% macro insert_missing(columns, source) -%}
WHEN NOT MATCHED THEN INSERT (
    {{ columns | join(",\n    ") }}
) VALUES (
    {{ source }}.{{ columns | join(",\n    " ~ source ~ ".") }}
)
{%- endmacro %}

{# Whether a difference of a record is accepted, by the row of accepted_records.sql that is joined to it. #}

{% macro is_accepted(class, product="") -%}
COALESCE(array_contains(accepted, '{{ class }}/{{ product }}'), FALSE)
{%- endmacro %}

{% macro is_flag_accepted(product) -%}
CASE WHEN salesforce_{{ product.enabled.column }}
    THEN {{ is_accepted("wrongly_true", product.name) }}
    ELSE {{ is_accepted("wrongly_false", product.name) }}
END
{%- endmacro %}
