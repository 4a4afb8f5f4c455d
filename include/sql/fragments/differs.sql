{% from "macros.sql" import all_of, any_differs, any_of %}
{% set flags = fields.products | map(attribute="enabled") | list %}
{# Whether a record of compared_records.sql holds other values than the warehouse. A flag that is True through an ACTIVE sibling is
   never turned off without a person, so its record is left alone. So is one with a flag that the warehouse does not know: a checkbox
   cannot be NULL, and False would be a guess. #}
{% include "fragments/is_certain.sql" %}

{% if settings.watches_siblings %}
AND NOT (
    {{ any_of(flags, "compared.through_sibling_{}") | indent(4) }}
)
{% endif %}
AND {{ all_of(flags, "compared.{} IS NOT NULL") }}
AND (
    {{ any_differs(fields.features, "compared.", "compared.salesforce_") | indent(4) }}
)
