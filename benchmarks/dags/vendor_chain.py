"""
What one builds from the vendor's own Airflow provider: for each batch an operator that starts the sync, a sensor and a pause.

It is the peer of ``benchmarks/waiting.py``. It stages nothing, checks nothing and records nothing.
"""

import os
from datetime import timedelta

from airflow.providers.standard.sensors.time_delta import WaitSensor
from airflow.sdk import DAG, chain
from airflow_provider_census.operators.census import CensusOperator
from airflow_provider_census.sensors.census import CensusSensor

from feature_sync.config.settings import load_settings

CONNECTION = "census_vendor"

with DAG("vendor_chain", schedule=None) as dag:
    sync_id = load_settings().census_sync_id
    steps = []
    for number in range(int(os.environ["BENCHMARK_BATCHES"])):
        started = CensusOperator(task_id=f"start_{number}", sync_id=sync_id, census_conn_id=CONNECTION)
        ended = CensusSensor(
            task_id=f"wait_for_end_{number}",
            sync_run_id=str(started.output),
            census_conn_id=CONNECTION,
            deferrable=True,
            poke_interval=1,
        )
        pause = WaitSensor(
            task_id=f"pause_{number}", time_to_wait=timedelta(seconds=int(os.environ["BENCHMARK_WAIT_SECONDS"])), deferrable=True
        )
        steps += [started, ended, pause]
    chain(*steps)
