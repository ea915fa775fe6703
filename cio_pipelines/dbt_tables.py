"""What the tables that dbt reads and makes look like, for people who look at them in Dagster."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg
import sqlalchemy as sa
from sqlalchemy.exc import CompileError

from cio_pipelines.dbt import DbtTranslator
from cio_pipelines.lineage import LineageError, trace_model
from cio_pipelines.warehouse import Warehouse

log = logging.getLogger(__name__)


def missing_sources(warehouse: Warehouse, sources: Iterable[Mapping[str, Any]]) -> list[str]:
    """Tables, and columns of tables that are there, that dbt reads and the warehouse has not.

    Args:
        warehouse: the database.
        sources: of dbt's manifest. Columns that the project marks as `optional` are never missing.

    Returns:
        Names such as `app.orders` or `app.users.plan`, in the project's order.

    Raises:
        WarehouseError: the warehouse cannot be opened.
    """
    missing: list[str] = []
    with warehouse.session():
        for source in sources:
            table = f"{source['schema']}.{source['identifier']}"
            found = {name.lower() for name in warehouse.columns(source["schema"], source["identifier"])}
            if not found:
                missing.append(table)
                continue
            missing += [
                f"{table}.{name}"
                for name, column in source["columns"].items()
                if name.lower() not in found and not column["config"]["meta"].get("optional")
            ]
    return missing


def table_metadata(
    warehouse: Warehouse, manifest: Mapping[str, Any], models: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Row count, columns, column lineage and name of models, in the keys that Dagster's UI knows.

    Args:
        warehouse: the database that they were built in; nobody else may have it open.
        manifest: dbt's, by the build that made them (it holds the compiled SQL).
        models: their unique ids.

    Returns:
        By unique id, metadata for a materialisation. Rows of views are not counted on BigQuery, which knows
        how many a table has, and bills for a view what it reads.

    Raises:
        WarehouseError: the warehouse cannot be read.
    """
    nodes = {unique_id: manifest["nodes"][unique_id] for unique_id in models}
    if not nodes:
        return {}
    with warehouse.session():
        counts = _row_counts(warehouse, list(nodes.values()))
        return {
            unique_id: {
                **({} if count is None else {"dagster/row_count": count}),
                "dagster/table_name": f"{node['database']}.{node['schema']}.{node['alias']}",
                "dagster/storage_kind": manifest["metadata"]["adapter_type"],
                "dagster/column_schema": _schema(warehouse, node),
                "dagster/column_lineage": column_lineage(manifest, unique_id),
            }
            for (unique_id, node), count in zip(nodes.items(), counts, strict=True)
        }


def column_lineage(manifest: Mapping[str, Any], unique_id: str) -> dg.TableColumnLineage:
    """Which columns of which assets each column of a model is made from; empty when it cannot be told."""
    translator = DbtTranslator()
    try:
        traced = trace_model(manifest, unique_id, manifest["metadata"]["adapter_type"])
    except LineageError as error:
        log.warning("No column lineage: %s", error)
        return dg.TableColumnLineage({})
    for column, reason in traced.untraced.items():
        log.warning("Column lineage of %s is incomplete: %s: %s", unique_id, column, reason)
    deps: dict[str, list[dg.TableColumnDep]] = {}
    for column, origins in traced.columns.items():
        deps[column] = [
            dg.TableColumnDep(
                asset_key=translator.get_asset_key(
                    manifest["sources"].get(parent) or manifest["nodes"][parent]
                ),
                column_name=name,
            )
            for parent, name in origins
        ]
    return dg.TableColumnLineage(deps)


def _row_counts(warehouse: Warehouse, nodes: Sequence[Mapping[str, Any]]) -> list[int | None]:
    is_billed = warehouse.dialect.name == "bigquery"
    counts = [
        sa.null().label(f"rows_{number}")
        if is_billed and node["config"]["materialized"] == "view"
        else sa.select(sa.func.count())
        .select_from(sa.table(node["alias"], schema=node["schema"]))
        .scalar_subquery()
        .label(f"rows_{number}")
        for number, node in enumerate(nodes)
    ]
    with warehouse.connect() as connection:
        return [None if count is None else int(count) for count in connection.rows(sa.select(*counts))[0]]


def _schema(warehouse: Warehouse, node: Mapping[str, Any]) -> dg.TableSchema:
    written = {name.lower(): column for name, column in node["columns"].items()}
    columns: list[dg.TableColumn] = []
    for name, type_ in warehouse.columns(node["schema"], node["alias"]).items():
        column = written.get(name.lower(), {})
        required = any(constraint["type"] == "not_null" for constraint in column.get("constraints", []))
        columns.append(
            dg.TableColumn(
                name,
                type=_type_name(type_, warehouse.dialect),
                description=column.get("description") or None,
                constraints=dg.TableColumnConstraints(nullable=not required),
            )
        )
    return dg.TableSchema(columns)


def _type_name(type_: sa.types.TypeEngine[Any], dialect: sa.Dialect) -> str:
    try:
        return type_.compile(dialect=dialect)
    except CompileError:
        return str(type_)
