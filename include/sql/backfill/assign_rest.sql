{% set records = "fragments/records_after_probes.sql" %}
{% set batch_number = ":probes + places.number" %}
{% include "fragments/assign_records.sql" %}
