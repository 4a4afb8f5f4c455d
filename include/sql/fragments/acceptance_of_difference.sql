{# Joins found, a row of differences.sql, with what was accepted of it: the same class, record, keys and product. #}
ON acceptances.class = found.class
AND acceptances.salesforce_id IS NOT DISTINCT FROM found.salesforce_id
{% for key in fields.keys %}
AND acceptances.{{ key.column }} IS NOT DISTINCT FROM found.{{ key.column }}
{% endfor %}
AND acceptances.product IS NOT DISTINCT FROM found.product
