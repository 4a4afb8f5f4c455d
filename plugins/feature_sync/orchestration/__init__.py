"""What we ask of Airflow itself: other tasks, a person, a pool, a deferral."""
