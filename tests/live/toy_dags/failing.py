"""DAGs that fail in ways that ours do seldom, with the callbacks of ours."""

import os
import signal
import time
from datetime import timedelta

from airflow.sdk import TriggerRule, dag, task

from feature_sync.backfill.validation import NothingToValidateError
from feature_sync.storage.warehouse import ConnectError
from feature_sync.task_defaults.defaults import DAG_DEFAULTS, TASK_DEFAULTS

AT_ONCE = TASK_DEFAULTS | {"retries": 0}


@dag(schedule=None, dagrun_timeout=timedelta(seconds=8), **DAG_DEFAULTS | {"default_args": AT_ONCE})
def toy_that_takes_too_long() -> None:
    @task
    def sleep() -> None:
        time.sleep(300)

    @task
    def after() -> None: ...

    sleep() >> after()


@dag(schedule=None, **DAG_DEFAULTS | {"default_args": AT_ONCE})
def toy_whose_process_is_killed() -> None:
    @task
    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    die()


@dag(schedule=None, **DAG_DEFAULTS | {"default_args": AT_ONCE})
def toy_with_two_causes() -> None:
    @task
    def meet_one(number: int) -> None:
        time.sleep(max(0, 5 - time.time() % 5))  # all at the same moment
        raise ConnectError(f"The warehouse did not answer statement {number}")

    @task
    def meet_another() -> None:
        raise ValueError("Something else")

    @task(trigger_rule=TriggerRule.ALL_DONE)
    def judge() -> None:
        raise NothingToValidateError("Look at the first red task.")

    [meet_one.expand(number=[1, 2, 3]), meet_another()] >> judge()


toy_that_takes_too_long()
toy_whose_process_is_killed()
toy_with_two_causes()
