"""BigQuery as a warehouse."""

from cio_pipelines.warehouse.bigquery.connection import BigQueryConnection
from cio_pipelines.warehouse.bigquery.warehouse import BigQueryWarehouse, default_client

__all__ = ["BigQueryConnection", "BigQueryWarehouse", "default_client"]
