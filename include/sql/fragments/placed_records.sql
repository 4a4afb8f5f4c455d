-- The records of the fragment named by `records`, each with its place from 1 to n.
{% if settings.parent_column %}
-- Records of one parent are dealt over the batches like cards: sorted by parent, the largest first, one to each batch in turn. So no
-- batch gets two of a parent with at most as many records as there are batches, and the others are spread evenly. The last batch,
-- which may be smaller, is left out of the last rounds.
SELECT
    dealt.*,
    CASE
        WHEN dealt.card < dealt.rounds_of_all * dealt.batches THEN
            CAST(dealt.card % dealt.batches AS BIGINT) * :batch_size + CAST(floor(dealt.card / dealt.batches) AS BIGINT) + 1
        ELSE
            CAST((dealt.card - dealt.rounds_of_all * dealt.batches) % (dealt.batches - 1) AS BIGINT) * :batch_size
            + dealt.rounds_of_all
            + CAST(floor((dealt.card - dealt.rounds_of_all * dealt.batches) / (dealt.batches - 1)) AS BIGINT) + 1
    END AS record_number
FROM (
    SELECT
        counted.*,
        row_number() OVER (
            ORDER BY
                counted.siblings DESC,
                counted.family,
                counted.{{ fields.upsert_key.column }},
                counted.salesforce_id
        ) - 1 AS card,
        CAST(floor((counted.records + :batch_size - 1) / :batch_size) AS BIGINT) AS batches,
        counted.records - (CAST(floor((counted.records + :batch_size - 1) / :batch_size) AS BIGINT) - 1) * :batch_size
        AS rounds_of_all
    FROM (
        SELECT
            scope.*,
            COALESCE(scope.parent_id, scope.salesforce_id) AS family,
            COUNT(*) OVER (PARTITION BY COALESCE(scope.parent_id, scope.salesforce_id)) AS siblings,
            COUNT(*) OVER () AS records
        FROM (
            {% include records %}
        ) AS scope
    ) AS counted
) AS dealt
{% else %}
SELECT
    scope.*,
    row_number() OVER (ORDER BY scope.{{ fields.upsert_key.column }}, scope.salesforce_id) AS record_number
FROM (
    {% include records %}
) AS scope
{% endif %}
