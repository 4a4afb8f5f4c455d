{% set found = "fragments/recorded_differences.sql" %}
{% set look = "fragments/recorded_look.sql" %}
{% include "fragments/measured_drift.sql" %}
