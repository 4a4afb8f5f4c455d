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

{# In a SELECT, a column that leaves only the rows of which a condition is TRUE. A WHERE would do the same, but beside 42 renamed columns
   Spark's optimizer derives a constraint for every combination of their names from it, and runs out of memory (SPARK-33152). #}

{% macro only_rows_with(condition) -%}
explode(CASE WHEN {{ condition }} THEN array(TRUE) END)
{%- endmacro %}

{# Whether a field of a record differs. A flag that is NULL on one side is unknown: it is neither equal nor different. A date may be NULL. #}

{% macro differs(field, own, held) -%}
{% if field.kind == "checkbox" -%}
COALESCE({{ own }}{{ field.column }} <> {{ held }}{{ field.column }}, FALSE)
{%- else -%}
{{ own }}{{ field.column }} IS DISTINCT FROM {{ held }}{{ field.column }}
{%- endif %}
{%- endmacro %}

{% macro any_differs(fields, own, held) -%}
{% for field in fields %}
{{ "\nOR " if not loop.first }}{{ differs(field, own, held) }}
{%- else %}
FALSE
{%- endfor %}
{% endmacro %}

{# What the status of an attempt says, as feature_sync.sending.batches.AttemptStatus has it. tests/sql/test_attempt_statuses.py compares both. #}

{% set accepted = "'accepted_by_counters', 'differs', 'unconfirmed'" %}

{# Whether Census has accepted the records of an attempt, but for those that it rejected. Otherwise nobody can say it. #}

{% macro was_accepted(attempt) -%}
({{ attempt }}.records_rejected IS NOT NULL OR {{ attempt }}.status IN ({{ accepted }}))
{%- endmacro %}

{# Whether Salesforce, when its records were read back, held something else. #}

{% macro was_contradicted(attempt) -%}
{{ attempt }}.status = 'differs'
{%- endmacro %}

{# Whether an attempt went through Census and has ended. #}

{% macro has_ended(attempt) -%}
{{ attempt }}.status IN ('succeeded', 'failed', 'over_limit', 'organization_limit', {{ accepted }})
{%- endmacro %}

{# An id without what people and tools add to it or change: case, blanks and signs. #}

{% macro spelling(id) -%}
NULLIF(regexp_replace(lower({{ id }}), '[^a-z0-9.]', ''), '')
{%- endmacro %}

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

{# A date of the feature table as Salesforce keeps it. A Date/Time there has whole seconds; the rest of a second is cut off. #}

{% macro as_kept(field, value) -%}
{% if field.kind == "datetime" -%}
date_trunc('SECOND', CAST({{ value }} AS TIMESTAMP))
{%- else -%}
CAST({{ value }} AS {{ field.kind.warehouse_type }})
{%- endif %}
{%- endmacro %}

{# The rows of a text that feature_sync/storage/lines.py has put together, and one of the cells of a row. #}

{% macro lines_of(text) -%}
SELECT explode(split({{ text }}, chr(30))) AS line
{%- endmacro %}

{% macro cell(number) -%}
split_part(line, chr(31), {{ number }})
{%- endmacro %}

{# Of a list that people read: what it says of a property, and its order before what tells its rows apart. `row` has the columns of
   described_properties.sql. #}

{% macro description(row) -%}
{% for column in ("property_name", "company", "status", "number_of_products", "product_names") %}
{{ ",\n" if not loop.first }}{{ row }}.{{ column }}
{%- endfor %}
{%- endmacro %}

{% macro most_products_first(row) -%}
{{ row }}.number_of_products DESC NULLS LAST,
{{ row }}.property_name NULLS LAST
{%- endmacro %}

{# Every key of a record as a row of its own, so that the records are read once for all keys. In `key`, {} is the name of a key's column
   and {number} its number. #}

{% macro each_key(keys, key) -%}
{% if keys | length > 1 -%}
explode(array(
{% for each in keys %}
    {{ key | replace("{}", each.column) | replace("{number}", loop.index) }}{{ "," if not loop.last }}
{% endfor %}
))
{%- else -%}
{{ key | replace("{}", (keys | first).column) }}
{%- endif %}
{%- endmacro %}
