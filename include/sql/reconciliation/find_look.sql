{% include "fragments/recorded_look.sql" %}
