{% from "macros.sql" import all_of %}
-- The records that an attempt at a batch sends, beside what the replica holds of each right before.
-- changed_fields: where Salesforce holds neither the value from before this run nor the one that this run sends. It is empty if
-- another run of ours wrote all values of the record lately: what that run wrote is nobody's change.
-- is_gone: the replica has no such record, or it has another key, so that Census would write to another record.
-- left_out_reason: why an earlier try of the attempt left the record out, or that another run has sent it since the freeze: the same
-- values, or newer ones, because they were frozen later. Otherwise it would be sent twice, or with values that are out of date.
-- has_other_before: what Salesforce holds is not the value from before this run, and this run has not written it either.
-- synced_at: when a row of the replica was last replicated.
WITH batch AS (
{% filter indent(4, first=true) %}{% include "fragments/batch_records.sql" %}{% endfilter +%}
),

marked AS (
{% filter indent(4, first=true) %}{% include "fragments/marked_records.sql" %}{% endfilter +%}
),

writes AS (
{% filter indent(4, first=true) %}{% include "fragments/batch_writes.sql" %}{% endfilter +%}
),

-- What our own runs have to do with each record. The replica may show a write late; one that ended long before the freeze was shown
-- by then.
written AS (
    SELECT
        writes.salesforce_id,
        COUNT_IF(writes.run_id = :run_id) > 0 AS is_by_this_run,
        COUNT_IF(
            writes.run_id <> :run_id
            AND (
                writes.run_ended_at IS NULL
                OR writes.run_ended_at + INTERVAL '{{ settings.copy_limit_seconds }}' SECOND >= batch.frozen_at
            )
            AND held.id IS NOT NULL
            AND {{ all_of(fields.features, "held.{} IS NOT DISTINCT FROM writes.{}") | indent(12) }}
        ) > 0 AS is_by_another_run,
        MAX(
            CASE
                WHEN
                    writes.run_id <> :run_id
                    AND writes.is_probable
                    AND writes.known_at >= batch.frozen_at
                    AND (
                        writes.frozen_at > batch.frozen_at
                        OR (
                            {{ all_of(fields.features, "writes.{} IS NOT DISTINCT FROM batch.{}") | indent(28) }}
                        )
                    )
                    THEN writes.run_id
            END
        ) AS sent_since_by
    FROM writes
    INNER JOIN batch
        ON batch.salesforce_id = writes.salesforce_id
    LEFT JOIN {{ settings.salesforce_table }} AS held
        ON held.id = writes.salesforce_id
    GROUP BY writes.salesforce_id
),

replica AS (
    SELECT MAX(_fivetran_synced) AS synced_at
    FROM {{ settings.salesforce_table }}
)

SELECT
    batch.{{ fields.upsert_key.column }} AS upsert_key,
    COALESCE(
        marked.reason,
        'CHANGED_SINCE_FREEZE: run ' || written.sent_since_by || ' has sent this record since it was frozen here'
    ) AS left_out_reason,
    salesforce.id IS NULL AS is_gone,
    CASE WHEN NOT COALESCE(written.is_by_another_run, FALSE) THEN concat_ws(
        ', '
{%- for field in fields.features %},
        CASE
            WHEN
                salesforce.{{ field.column }} IS DISTINCT FROM batch.before_{{ field.column }}
                AND salesforce.{{ field.column }} IS DISTINCT FROM batch.{{ field.column }}
                THEN '{{ field.column }}'
        END
{%- endfor +%}
    ) ELSE '' END AS changed_fields,
    NOT COALESCE(written.is_by_this_run, FALSE)
    AND NOT (
        {{ all_of(fields.features, "salesforce.{} IS NOT DISTINCT FROM batch.before_{}") | indent(8) }}
    ) AS has_other_before,
    replica.synced_at
FROM batch
LEFT JOIN replica
    ON TRUE
LEFT JOIN {{ settings.salesforce_table }} AS salesforce
    ON salesforce.id = batch.salesforce_id
    AND NOT salesforce.is_deleted
    AND salesforce.{{ fields.upsert_key.column }} = batch.{{ fields.upsert_key.column }}
LEFT JOIN marked
    ON marked.{{ fields.upsert_key.column }} = batch.{{ fields.upsert_key.column }}
LEFT JOIN written
    ON written.salesforce_id = batch.salesforce_id
