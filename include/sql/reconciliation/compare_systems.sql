{% include "fragments/measured_drift.sql" %}
