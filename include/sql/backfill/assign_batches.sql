{% set records = "fragments/records_without_batch.sql" %}
{% set batch_number = "places.number" %}
{% include "fragments/assign_records.sql" %}
