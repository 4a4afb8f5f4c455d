-- What we may do with some tables, schemas and catalogs: by what is granted to us, to a group of ours, or to everybody.
-- Whoever owns something has OWNERSHIP here. The row without a name says who we are.
WITH granted AS (
    SELECT
        concat_ws('.', table_catalog, table_schema, table_name) AS name,
        grantee,
        privilege_type AS privilege
    FROM {{ catalog }}.information_schema.table_privileges
    UNION ALL
    SELECT
        concat_ws('.', catalog_name, schema_name) AS name,
        grantee,
        privilege_type AS privilege
    FROM {{ catalog }}.information_schema.schema_privileges
    UNION ALL
    SELECT
        catalog_name AS name,
        grantee,
        privilege_type AS privilege
    FROM {{ catalog }}.information_schema.catalog_privileges
    UNION ALL
    SELECT
        concat_ws('.', table_catalog, table_schema, table_name) AS name,
        table_owner AS grantee,
        'OWNERSHIP' AS privilege
    FROM {{ catalog }}.information_schema.tables
    UNION ALL
    SELECT
        concat_ws('.', catalog_name, schema_name) AS name,
        schema_owner AS grantee,
        'OWNERSHIP' AS privilege
    FROM {{ catalog }}.information_schema.schemata
    UNION ALL
    SELECT
        catalog_name AS name,
        catalog_owner AS grantee,
        'OWNERSHIP' AS privilege
    FROM {{ catalog }}.information_schema.catalogs
    UNION ALL
    SELECT
        '' AS name,
        current_user() AS grantee,
        'IDENTITY' AS privilege
)

SELECT DISTINCT
    lower(name) AS name,
    privilege,
    current_user() AS principal
FROM granted
WHERE
    (name = '' OR array_contains(split(:names, ','), lower(name)))
    AND (grantee = current_user() OR is_account_group_member(grantee))
ORDER BY name, privilege
