{% set records = "fragments/records_to_undo.sql" %}
{% include "fragments/freeze_records.sql" %}
