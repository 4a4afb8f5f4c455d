"""
The project on one machine: a real Airflow beside the sandbox, started and stopped as one thing.

``python -m laptop run|up|down|status`` is for people; :class:`laptop.stack.Stack` is what it and the live tests use.
"""
