{# Which properties belong in Salesforce. #}
properties.status <> 'DELETED'
