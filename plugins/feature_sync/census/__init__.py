"""Census (Fivetran Activations): the hook speaks HTTP, the operator, sensor and triggers speak Airflow."""
