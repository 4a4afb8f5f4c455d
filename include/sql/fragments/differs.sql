{# Whether a record of compared_records.sql holds something else than the warehouse says. One whose property the warehouse does not
   know, or whose keys name two, is no such record: nothing says what it should hold. #}
compared.has_property AND NOT compared.key_mismatch AND (
    {% for field in fields.features %}
    {{ "OR " if not loop.first }}compared.{{ field.column }} IS DISTINCT FROM compared.before_{{ field.column }}
    {% endfor %}
)
