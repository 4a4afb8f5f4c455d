{# What mismatches.csv says beside a cause: what was sent last, and when the record changed last, as far as it is known. #}
sent.run_id AS sent_by_run,
sent.outcome AS sent_outcome,
sent.sent_value,
sent.before_value,
sent.run_started_at AS sent_from,
sent.run_ended_at AS sent_until,
sent.rejection,
sent.changed_at,
sent.changed_by
