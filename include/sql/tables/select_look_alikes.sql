-- Tables with all of :key_columns. Those with most of :columns come first.
SELECT
    found.table_catalog,
    found.table_schema,
    found.table_name,
    MAX(known.table_type) AS table_type,
    COUNT_IF(found.column_name = '_fivetran_synced') > 0 AS is_replicated
FROM {{ catalog }}.information_schema.columns AS found
INNER JOIN {{ catalog }}.information_schema.tables AS known
    ON
        known.table_catalog = found.table_catalog
        AND known.table_schema = found.table_schema
        AND known.table_name = found.table_name
WHERE array_contains(split(:columns, ','), lower(found.column_name))
GROUP BY found.table_catalog, found.table_schema, found.table_name
HAVING COUNT_IF(array_contains(split(:key_columns, ','), lower(found.column_name))) = size(split(:key_columns, ','))
ORDER BY COUNT(*) DESC, MAX(known.last_altered) DESC, found.table_catalog, found.table_schema, found.table_name
LIMIT 20
