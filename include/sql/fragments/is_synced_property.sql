{# Which properties belong in Salesforce. This is the one place that says so. A status that is empty or not known is none of these;
   preconditions and the weekly run name it. #}
upper(trim(COALESCE(properties.status, ''))) IN (
    '{{ settings.synced_statuses | join("',\n    '") }}'
)
{%- if settings.placeholder_sfdc_ids %}

AND NOT COALESCE(trim(properties.sfdc_id) RLIKE '^({{ settings.placeholder_sfdc_ids }})$', FALSE)
{%- endif %}
{%- if settings.properties_deleted_column %}

AND NOT COALESCE(properties.{{ settings.properties_deleted_column }}, FALSE)
{%- endif %}
