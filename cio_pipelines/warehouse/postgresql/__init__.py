"""PostgreSQL behind the `Warehouse` protocol."""

from cio_pipelines.warehouse.postgresql.warehouse import PostgreSQLWarehouse

__all__ = ["PostgreSQLWarehouse"]
