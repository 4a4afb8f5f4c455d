{% set records = "fragments/records_in_scope.sql" %}
{% include "fragments/freeze_records.sql" %}
