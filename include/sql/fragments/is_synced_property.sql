{# Which properties belong into Salesforce. #}
    properties.status <> 'DELETED'
