CASE :strategy
            WHEN 'full' THEN 1
            WHEN 'probe' THEN
                CASE
                    WHEN placed.record_number <= :batch_size THEN 1
                    WHEN placed.record_number <= 3 * :batch_size THEN 2
                    ELSE 3
                END
            ELSE CAST(floor((placed.record_number - 1) / :batch_size) AS INT) + 1
        END
