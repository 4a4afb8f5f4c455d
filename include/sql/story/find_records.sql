-- The records that people may mean by :asked: an id, also the 15 characters of an old address, a key, or a name of a property,
-- whole or in part. Whole ones come first.
SELECT
    payload.salesforce_id,
{% for key in fields.keys %}
    MAX_BY(payload.{{ key.column }}, payload.frozen_at) AS {{ key.column }},
{% endfor %}
    MAX_BY(payload.property_name, payload.frozen_at) AS property_name,
    MAX(
        payload.salesforce_id = :asked
        OR (length(:asked) = 15 AND substring(payload.salesforce_id, 1, 15) = :asked)
{% for key in fields.keys %}
        OR payload.{{ key.column }} = :asked
{% endfor %}
        OR lower(trim(payload.property_name)) = lower(trim(:asked))
    ) AS is_whole
FROM {{ settings.payload_table }} AS payload
WHERE
    payload.salesforce_id = :asked
    OR (length(:asked) = 15 AND substring(payload.salesforce_id, 1, 15) = :asked)
{% for key in fields.keys %}
    OR payload.{{ key.column }} = :asked
{% endfor %}
    OR contains(lower(payload.property_name), lower(trim(:asked)))
GROUP BY payload.salesforce_id
ORDER BY is_whole DESC, property_name, payload.salesforce_id
LIMIT 21
