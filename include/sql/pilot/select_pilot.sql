-- The pilot's records, once for each stratum: what Salesforce held before the run, and what was sent.
WITH strata AS (
{% filter indent(4, first=true) %}{% include "fragments/pilot_strata.sql" %}{% endfilter +%}
)

SELECT
    strata.stratum.name AS stratum,
    payload.record_number,
    payload.property_name,
{% for key in fields.keys %}
    payload.{{ key.column }},
{% endfor %}
{% for field in fields.features %}
    payload.{{ field.column }},
    payload.before_{{ field.column }}{{ "," if not loop.last }}
{% endfor %}
FROM strata
INNER JOIN {{ settings.payload_table }} AS payload
    ON payload.run_id = :run_id AND payload.record_number = strata.record_number
WHERE payload.batch_number = 1
ORDER BY strata.stratum.number, payload.record_number
