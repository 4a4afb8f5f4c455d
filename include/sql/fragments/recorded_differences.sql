-- The differences that the reconciliation :compared_by has found and kept.
SELECT
    class,
    salesforce_id,
    {{ fields.keys | map(attribute="column") | join(",\n    ") }},
    product,
    field,
    field_number,
    in_salesforce_value,
    in_warehouse_value,
    has_feature_row,
    enabled_in_salesforce
FROM {{ settings.difference_table }}
WHERE run_id = :compared_by AND class <> 'compared'
