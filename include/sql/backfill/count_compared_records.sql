-- How many records the scope mismatched can say something about, and how many flags of theirs it cannot compare, because the replica
-- does not know them. What people have accepted is not among these.
WITH counted AS (
{% filter indent(4, first=true) %}{% include "fragments/counted_records.sql" %}{% endfilter +%}
)

SELECT
    properties_checked AS records,
    unknown_in_salesforce - unknown_in_salesforce_accepted AS unknown_flags
FROM counted
