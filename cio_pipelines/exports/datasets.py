"""What a table of the exports is made of: columns of its files and of ours, and which row is the newest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from cio_pipelines.landing.manifest import metadata
from cio_pipelines.warehouse.functions import UtcTimestamp

OTHER_COLUMNS, FILE, FILE_ORDER, LOADED_AT = "other_columns", "file", "file_order", "loaded_at"
WORKSPACE = "workspace_id"


def number(name: str, comment: str) -> sa.Column[Any]:
    """A whole number."""
    return sa.Column(name, sa.BigInteger, comment=comment)


def text(name: str, comment: str, *, nested: bool = False) -> sa.Column[Any]:
    """A text; with `nested` also what arrays and objects of the files are kept in, as JSON."""
    return sa.Column(name, sa.String, comment=comment, info={"nested": nested})


def flag(name: str, comment: str) -> sa.Column[Any]:
    """True or false."""
    return sa.Column(name, sa.Boolean, comment=comment)


def moment(name: str, comment: str) -> sa.Column[Any]:
    """A moment, UTC."""
    return sa.Column(name, UtcTimestamp, comment=comment)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A table of the exports. A row replaces another of the same `key` when it is newer by `recency`.

    `recency` has the most telling column first; NULL is the oldest. Between equals the file that comes later
    decides: the higher version, then the higher number.
    """

    name: str
    table: sa.Table
    key: tuple[str, ...]
    recency: tuple[str, ...] = ()
    rows_at_once: int = 50_000
    """Rows of a file that are held at a time."""

    @property
    def columns(self) -> list[sa.Column[Any]]:
        """The columns that the files have."""
        ours = (OTHER_COLUMNS, FILE, FILE_ORDER, LOADED_AT)
        return [column for column in self.table.columns if column.name not in ours]


def dataset(
    name: str,
    comment: str,
    key: str,
    columns: list[sa.Column[Any]],
    *,
    recency: tuple[str, ...] = (),
    rows_at_once: int = 50_000,
    partition_by: str | None = None,
    cluster_by: tuple[str, ...] = (),
) -> Dataset:
    """A dataset with its table: the columns of its files, and ours.

    `key` names columns beside the workspace, with spaces between; `partition_by` is in BigQuery's words.
    """
    info = {"partition_by": partition_by} if partition_by else {}
    table = sa.Table(
        f"export_{name}",
        metadata,
        number(WORKSPACE, "Customer.io's number of the workspace."),
        *columns,
        text(OTHER_COLUMNS, "What the file has in other columns, a JSON object; NULL without."),
        text(FILE, "Path of the export in the landing zone that the row is from."),
        text(FILE_ORDER, "Version and number of that file, in a form that sorts."),
        moment(LOADED_AT, "When the row reached this table."),
        comment=comment,
        info={**info, "cluster_by": (WORKSPACE, *cluster_by)},
    )
    return Dataset(name, table, (WORKSPACE, *key.split()), recency, rows_at_once)
