"""
The project on one machine: a real Airflow and the sandbox, started and stopped together.

People use ``python -m laptop run|up|down|status``. That command and the live tests use :class:`laptop.stack.Stack`.
"""
