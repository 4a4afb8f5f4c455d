{# Template names: `records`, the fragment that selects the waiting records; `batch_number`, the number that a batch gets in the run. #}
-- Puts the waiting records into batches, in the order of record_number. Executing it twice changes nothing.
-- :sizes is a text such as '50,50,46'. Each batch takes as many of the next records as its size says. Places that are left over
-- do not matter; records that are left over stay where they are.
-- Each size becomes one row for each place in the batch, so that records and places are joined by equality.
MERGE INTO {{ settings.payload_table }} AS payload
USING (
    WITH waiting AS (
{% filter indent(8, first=true) %}{% include records %}{% endfilter +%}
    ),

    queue AS (
        SELECT
            waiting.record_number,
            row_number() OVER (ORDER BY waiting.record_number) AS place
        FROM waiting
    ),

    sizes AS (
        SELECT posexplode(split(:sizes, ',')) AS (batches_before, size)
    ),

    batches AS (
        SELECT
            batches_before + 1 AS number,
            CAST(size AS BIGINT) AS records,
            CAST(SUM(CAST(size AS BIGINT)) OVER (ORDER BY batches_before) AS BIGINT) AS last_place
        FROM sizes
        WHERE size <> ''
    ),

    places AS (
        SELECT
            number,
            explode(sequence(last_place - records + 1, last_place)) AS place
        FROM batches
        WHERE records > 0
    )

    SELECT
        queue.record_number,
        CAST({{ batch_number }} AS INT) AS batch_number
    FROM queue
    INNER JOIN places
        ON places.place = queue.place
) AS found
    ON payload.run_id = :run_id AND payload.record_number = found.record_number
WHEN MATCHED THEN UPDATE SET batch_number = found.batch_number
