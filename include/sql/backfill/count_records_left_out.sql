WITH left_out AS (
{% filter indent(4, first=true) %}{% include "fragments/records_left_out.sql" %}{% endfilter +%}
)

SELECT
    COUNT_IF(reason = 'no_property') AS records_without_property,
    COUNT_IF(reason = 'key_mismatch') AS records_with_key_mismatch,
    COUNT_IF(reason = 'ambiguous_features') AS records_ambiguous,
    COUNT_IF(reason = 'unknown_flag') AS records_with_unknown_flag,
    COUNT_IF(reason = 'true_through_sibling') AS records_true_through_sibling,
    COUNT_IF(reason = 'accepted') AS records_accepted
FROM left_out
