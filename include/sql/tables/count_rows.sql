SELECT
    COUNT(*) AS records,
    {{ synced_at }} AS synced_at
FROM {{ table }}
