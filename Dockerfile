# One image for the receiver and gateway (cio serve), the worker (cio worker), Dagster's web server and daemon, its code
# location and its runs. Nobody in it is root, and nothing in it needs to be written to but /tmp.
ARG PYTHON=python:3.12-slim-bookworm

FROM ${PYTHON} AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /app
COPY requirements/image.txt requirements/dbt-bigquery.txt requirements/
# wheels only: there is no compiler here, and no code runs at installation
RUN python -m venv --without-pip .venv \
 && python -m pip --python .venv install --require-hashes --no-deps --only-binary :all: -r requirements/image.txt
# dbt for BigQuery, whose packages cannot live beside the others
RUN python -m venv --without-pip .venvs/dbt-bigquery \
 && python -m pip --python .venvs/dbt-bigquery install --require-hashes --no-deps --only-binary :all: \
    -r requirements/dbt-bigquery.txt

FROM packages AS project
COPY pyproject.toml dagster.yaml workspace.yaml ./
COPY dbt_project dbt_project
COPY cio_pipelines cio_pipelines
# the tree is the project: nothing is built, and Dagster finds its definitions beside pyproject.toml
RUN printf '#!/app/.venv/bin/python\nfrom cio_pipelines.cli import main\n\nmain()\n' > .venv/bin/cio \
 && chmod 755 .venv/bin/cio \
 && .venv/bin/python -m compileall -q cio_pipelines
# Which warehouses the image can build in, by spaces: a manifest of dbt is of one. No credentials: dbt only parses.
ARG WAREHOUSES="postgresql://cio@postgres/warehouse"
ENV PYTHONPATH=/app DBT_TARGET_PATH=/app/manifests
RUN for url in ${WAREHOUSES}; do \
      WAREHOUSE_URL="$url" .venv/bin/python -c 'from cio_pipelines.dbt import dbt_project; dbt_project()' || exit 1; \
    done

FROM ${PYTHON} AS image
# pip and its like could bring in what no lock names
RUN python -m pip uninstall --yes --root-user-action ignore pip setuptools wheel \
 && groupadd --gid 10001 cio \
 && useradd --uid 10001 --gid cio --no-create-home --home-dir /tmp --shell /usr/sbin/nologin cio \
 && install --directory --owner cio --group cio --mode 750 /opt/dagster/dagster_home /data
COPY --from=project /app /app
COPY --from=project /app/dagster.yaml /opt/dagster/dagster_home/dagster.yaml
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    DBT_TARGET_PATH=/app/manifests \
    DAGSTER_HOME=/opt/dagster/dagster_home
WORKDIR /app
USER 10001:10001
EXPOSE 8080
# of the receiver; the other programs' are in docker-compose.yml and the chart
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=4 \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
CMD ["cio", "serve", "--host", "0.0.0.0", "--port", "8080"]
