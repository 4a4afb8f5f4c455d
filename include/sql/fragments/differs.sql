{% from "macros.sql" import any_of %}
{# Whether a record of compared_records.sql holds other values than the warehouse. If the warehouse does not know the property, or the
   two keys name different ones, or its feature rows are ambiguous, it cannot be said what the record should hold. #}
compared.has_property
AND NOT compared.key_mismatch
AND NOT compared.has_ambiguous_features
AND (
    {{ any_of(fields.features, "compared.{} IS DISTINCT FROM compared.salesforce_{}") | indent(4) }}
)
