{# The template name `records` is the fragment that selects them. #}
-- The chosen records, each with its place in the run (record_number), from 1 to n.
WITH chosen AS (
{% filter indent(4, first=true) %}{% include records %}{% endfilter +%}
)
{%- if settings.parent_column %},

-- Records of one parent are dealt over the batches like cards: one to each batch in turn, the largest families first.
-- So no batch gets two records of a family that is no larger than the number of batches.
-- The last batch may have fewer places than the others. Once it is full, the remaining rounds go to the others alone.
families AS (
    SELECT
        chosen.*,
        COALESCE(chosen.parent_id, chosen.salesforce_id) AS family,
        COUNT(*) OVER (PARTITION BY COALESCE(chosen.parent_id, chosen.salesforce_id)) AS siblings,
        COUNT(*) OVER () AS records,
        CAST(ceil(COUNT(*) OVER () / :batch_size) AS BIGINT) AS batches
    FROM chosen
),

shuffled AS (
    SELECT
        families.*,
        records - (batches - 1) * :batch_size AS places_in_last,
        row_number() OVER (ORDER BY siblings DESC, family, {{ fields.upsert_key.column }}, salesforce_id) - 1 AS card
    FROM families
),

dealt AS (
    SELECT
        shuffled.*,
        card < places_in_last * batches AS goes_to_all,
        card - places_in_last * batches AS later_card
    FROM shuffled
)

SELECT
    dealt.*,
    CASE
        WHEN goes_to_all THEN
            CAST(card % batches AS BIGINT) * :batch_size
            + CAST(floor(card / batches) AS BIGINT) + 1
        ELSE
            CAST(later_card % (batches - 1) AS BIGINT) * :batch_size
            + places_in_last + CAST(floor(later_card / (batches - 1)) AS BIGINT) + 1
    END AS record_number
FROM dealt
{%- else %}


SELECT
    chosen.*,
    row_number() OVER (ORDER BY chosen.{{ fields.upsert_key.column }}, chosen.salesforce_id) AS record_number
FROM chosen
{%- endif %}
