"""The page in Airflow that shows a run: what happens now, why it waits, what became of each batch."""
