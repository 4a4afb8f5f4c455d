{% set found = "fragments/differences.sql" %}
{% set look = "fragments/look_now.sql" %}
{% include "fragments/measured_drift.sql" %}
