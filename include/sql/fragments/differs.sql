{# Whether a record of compared_records.sql holds something else than the warehouse says. A property that the warehouse does not
   know is no such record: nothing says what it should hold. #}
compared.has_property AND (
    {% for field in fields.features %}
    {{ "OR " if not loop.first }}compared.{{ field.column }} IS DISTINCT FROM compared.before_{{ field.column }}
    {% endfor %}
)
