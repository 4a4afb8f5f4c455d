{# The scopes that do not ask whether a record differs, as cases of :scope. #}
WHEN 'all' THEN TRUE
WHEN 'created_between' THEN
    CAST(compared.created_date AS DATE) BETWEEN CAST(:created_from AS DATE) AND CAST(:created_to AS DATE)
WHEN 'property_ids' THEN
    array_contains(split(:property_ids, ','), compared.{{ fields.property_id.column }})
