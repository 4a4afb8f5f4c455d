# The project in Airflow's official image. docker-compose.yaml builds it. Stage `sandbox` adds the stand-in for the outside world.
ARG AIRFLOW_IMAGE=apache/airflow:3.3.2
FROM ${AIRFLOW_IMAGE} AS airflow

COPY requirements-compose.txt /requirements-compose.txt
RUN pip install --no-cache-dir --requirement /requirements-compose.txt
# If the provider cannot use a release of Celery, this build fails, not the start of a scheduler.
RUN python -c "import airflow.providers.celery.executors.celery_executor, airflow.providers.fab, asyncpg, psycopg2"

# Root owns the code, so no task can change it. It is compiled here, because nobody can write the byte code later.
USER root
COPY dags /opt/airflow/dags
COPY plugins /opt/airflow/plugins
COPY include /opt/airflow/include
RUN python -m compileall -q /opt/airflow/plugins \
 && chown -R root:0 /opt/airflow/dags /opt/airflow/plugins /opt/airflow/include \
 && chmod -R a+rX,go-w /opt/airflow/dags /opt/airflow/plugins /opt/airflow/include \
 && install -d -o airflow -g 0 -m 770 /opt/airflow/output
USER airflow


FROM airflow AS sandbox

COPY requirements-dev.txt /requirements-dev.txt
RUN pip install --no-cache-dir --constraint /requirements-dev.txt duckdb starlette uvicorn

USER root
COPY sandbox /opt/airflow/sandbox
RUN python -m compileall -q /opt/airflow/sandbox \
 && chmod -R a+rX,go-w /opt/airflow/sandbox \
 && install -d -o airflow -g 0 -m 770 /opt/airflow/sandbox-state
USER airflow
