{% from "macros.sql" import any_of %}
{% set flags = fields.products | map(attribute="enabled") | list %}
{# Whether a record of compared_records.sql holds other values than the warehouse. A flag that is True through an ACTIVE sibling is
   never turned off without a person, so its record is left alone. #}
{% include "fragments/is_certain.sql" %}

{% if settings.watches_siblings %}
AND NOT (
    {{ any_of(flags, "compared.through_sibling_{}") | indent(4) }}
)
{% endif %}
AND (
    {{ any_of(fields.features, "compared.{} IS DISTINCT FROM compared.salesforce_{}") | indent(4) }}
)
