"""Storage exports: parquet files as Customer.io writes them to a bucket, with what changed since the last."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from cio_pipelines.sandbox.options import SandboxError
from cio_pipelines.sandbox.records import Delivery, as_text
from cio_pipelines.sandbox.workspace import Workspace

Version = Literal[4, 5]
Row = dict[str, Any]

_ROWS_AT_ONCE = 50_000
_MOMENT = pa.timestamp("us", tz="UTC")
_MICROSECONDS = 1_000_000
_BY_JOURNEY = ("campaign_id", "broadcast_id")
"""Origins in which a person goes through something; the others have no subjects and outputs."""


def _schema(
    integers: str = "", texts: str = "", flags: str = "", moments: str = "", lists: str = ""
) -> pa.Schema:
    kinds: tuple[tuple[str, pa.DataType], ...] = (
        (integers, pa.int64()),
        (texts, pa.string()),
        (flags, pa.bool_()),
        (moments, _MOMENT),
        (lists, pa.list_(pa.string())),
    )
    return pa.schema([(name, kind) for names, kind in kinds for name in names.split()])


_SCHEMAS = {
    "deliveries": _schema(
        "workspace_id campaign_id action_id newsletter_id content_id trigger_id transactional_message_id "
        "seq_num",
        "delivery_id internal_customer_id subject_id event_id delivery_type",
        moments="created_at",
    ),
    "metrics": _schema(
        "workspace_id link_id seq_num", "event_id delivery_id metric reason link_url", moments="created_at"
    ),
    "subjects": _schema(
        "workspace_id campaign_id trigger_id seq_num",
        "subject_name internal_customer_id campaign_type event_id",
        moments="started_campaign_at created_at",
    ),
    "outputs": _schema(
        "workspace_id action_id split_test_index branch_index manual_segment_id seq_num",
        "output_id subject_name output_type explanation delivery_id",
        "draft link_tracked add_to_manual_segment",
        "delay_ends_at created_at",
    ),
    "people": _schema(
        "workspace_id",
        "customer_id internal_customer_id email_addr",
        "deleted suppressed",
        "created_at updated_at",
    ),
    "attributes": _schema(
        "workspace_id", "internal_customer_id attribute_name attribute_value", moments="timestamp"
    ),
    "campaigns": _schema(
        "workspace_id campaign_id version", "name", moments="created_at updated_at", lists="topic_names"
    ),
    "broadcasts": _schema(
        "workspace_id broadcast_id", "name", moments="created_at updated_at", lists="topic_names"
    ),
}
_NEWER_METRICS = _schema(
    "workspace_id link_id seq_num",
    "event_id delivery_id metric reason link_url user_agent email_client inbox_domain inbox_provider mx_host",
    "proxied prefetched machine",
    "created_at",
)


def export(workspace: Workspace, folder: Path, version: Version = 4) -> dict[str, Any]:
    """Write a file for each table that has changed since the last export; the first has everything.

    A person who changed comes with all attributes, those that were removed as nulls. People who were deleted
    or suppressed are flagged in the next export, and missing from a first one. Version 5 has more columns
    of metrics and no outputs. A file has its name only when it is whole; when one cannot be written, the
    next export holds all of it again.

    Returns:
        files (table → path) and rows (table → number).

    Raises:
        SandboxError: the version is not known or the folder cannot be written.
    """
    if version not in (4, 5):
        raise SandboxError(f"exports of version {version} are not known: ask for 4 or 5")
    changes = _Changed(workspace)
    tables: dict[str, Callable[[], Iterator[Row]]] = {
        "deliveries": changes.deliveries,
        "metrics": changes.metrics,
        "subjects": changes.subjects,
        "outputs": changes.outputs,
        "people": changes.people,
        "attributes": changes.attributes,
        "campaigns": lambda: changes.origins("campaign"),
        "broadcasts": lambda: changes.origins("broadcast"),
    }
    if version > 4:
        del tables["outputs"]
    number = f"{int(time.time() * 1000)}{workspace.exports % 100_000:05d}"
    told: dict[str, Any] = {"files": {}, "rows": {}}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for table, rows in tables.items():
            path = folder / f"{table}_v{version}_{workspace.options.environment_id}_{number}.parquet"
            schema = _NEWER_METRICS if table == "metrics" and version > 4 else _SCHEMAS[table]
            written = _write(path, schema, rows())
            if written:
                told["files"][table], told["rows"][table] = str(path), written
    except OSError as error:
        raise SandboxError(
            f"cannot export to {folder} ({error.strerror or error}): check the folder"
        ) from None
    workspace.note_export()
    return told


def _write(path: Path, schema: pa.Schema, rows: Iterator[Row]) -> int:
    """Write rows to a file that gets its name last; without rows there is none. Returns their number."""
    partial = path.with_name(f".partial-{path.name}")
    written = 0
    writer: pq.ParquetWriter | None = None
    try:
        while some := list(islice(rows, _ROWS_AT_ONCE)):
            writer = writer or pq.ParquetWriter(partial, schema)
            writer.write_table(pa.Table.from_pylist(some, schema=schema))
            written += len(some)
        if writer is not None:
            writer.close()
            os.replace(partial, path)
    finally:
        if writer is not None:
            writer.close()
        partial.unlink(missing_ok=True)
    return written


class _Changed:
    """What is new in a workspace since its last export, as rows of the tables."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._since = workspace.exported_change if workspace.exports else -1
        self._id = {"workspace_id": workspace.options.environment_id}

    def deliveries(self) -> Iterator[Row]:
        for delivery in self._newer(self._workspace.deliveries.values()):
            yield {
                **self._id,
                **delivery.origin,
                "delivery_id": delivery.delivery_id,
                "internal_customer_id": self._known(delivery),
                "subject_id": delivery.origin.get("journey_id"),
                "delivery_type": delivery.channel,
                "created_at": delivery.created_at * _MICROSECONDS,
                "seq_num": delivery.change,
            }

    def metrics(self) -> Iterator[Row]:
        for delivery in self._newer(self._workspace.deliveries.values()):
            for each in self._newer(delivery.happened):
                yield {
                    **self._id,
                    "event_id": each.event_id,
                    "delivery_id": delivery.delivery_id,
                    "metric": each.metric,
                    "reason": each.reason or None,
                    "link_id": each.link_id,
                    "link_url": each.href or None,
                    "created_at": each.at * _MICROSECONDS,
                    "seq_num": each.change,
                    "machine": each.machine,
                    "proxied": each.proxied,
                    "prefetched": each.prefetched,
                    "inbox_domain": delivery.recipient.rpartition("@")[2] or None,
                }

    def subjects(self) -> Iterator[Row]:
        for delivery in self._journeys():
            yield {
                **self._id,
                "subject_name": delivery.origin["journey_id"],
                "internal_customer_id": self._known(delivery),
                "campaign_type": "campaign" if "campaign_id" in delivery.origin else "triggered_broadcast",
                "campaign_id": delivery.origin.get("campaign_id", delivery.origin.get("broadcast_id")),
                "trigger_id": delivery.origin.get("trigger_id"),
                "started_campaign_at": delivery.created_at * _MICROSECONDS,
                "created_at": delivery.created_at * _MICROSECONDS,
                "seq_num": delivery.change,
            }

    def outputs(self) -> Iterator[Row]:
        for delivery in self._journeys():
            drafted = any(each.metric == "drafted" for each in delivery.happened)
            yield {
                **self._id,
                "output_id": f"{delivery.origin['journey_id']}-{delivery.origin['action_id']}",
                "subject_name": delivery.origin["journey_id"],
                "output_type": f"{delivery.channel}_action",
                "action_id": delivery.origin["action_id"],
                "explanation": "drafted" if drafted else "sent",
                "delivery_id": delivery.delivery_id,
                "draft": drafted,
                "link_tracked": True,
                "created_at": delivery.created_at * _MICROSECONDS,
                "seq_num": delivery.change,
            }

    def people(self) -> Iterator[Row]:
        for person in self._newer(self._workspace.people.values()):
            email = person.attributes.get("email")
            yield {
                **self._id,
                "customer_id": person.id,
                "internal_customer_id": person.cio_id,
                "deleted": False,
                "suppressed": False,
                "created_at": person.created_at * _MICROSECONDS,
                "updated_at": person.updated_at * _MICROSECONDS,
                "email_addr": None if email is None else as_text(email),
            }
        if self._workspace.exports:
            for gone in self._newer(self._workspace.gone.values()):
                yield {
                    **self._id,
                    "customer_id": gone.customer_id,
                    "internal_customer_id": gone.cio_id,
                    "deleted": True,
                    "suppressed": gone.suppressed,
                    "created_at": gone.created_at * _MICROSECONDS,
                    "updated_at": gone.at * _MICROSECONDS,
                }

    def attributes(self) -> Iterator[Row]:
        for person in self._newer(self._workspace.people.values()):
            for name in {**dict.fromkeys(person.attributes), **dict.fromkeys(person.set_at)}:
                value = person.attributes.get(name)
                yield {
                    **self._id,
                    "internal_customer_id": person.cio_id,
                    "attribute_name": name,
                    "attribute_value": None if value is None else as_text(value),
                    "timestamp": person.set_at.get(name, person.created_at) * _MICROSECONDS,
                }

    def origins(self, kind: Literal["campaign", "broadcast"]) -> Iterator[Row]:
        """What has sent something since, with its first and last moment of all."""
        member = f"{kind}_id"
        moments: dict[int | str, tuple[int, int]] = {}
        for delivery in self._workspace.deliveries.values():
            if member in delivery.origin:
                first, last = moments.get(delivery.origin[member], (delivery.created_at, 0))
                moments[delivery.origin[member]] = (
                    min(first, delivery.created_at),
                    max(last, delivery.created_at),
                )
        changed = {d.origin.get(member) for d in self._newer(self._workspace.deliveries.values())}
        for number, (first, last) in moments.items():
            if number in changed:
                yield {
                    **self._id,
                    member: number,
                    "name": f"{kind.title()} {number}",
                    "created_at": first * _MICROSECONDS,
                    "updated_at": last * _MICROSECONDS,
                    "version": 1,
                    "topic_names": [],
                }

    def _newer(self, records: Iterable[Any]) -> Iterator[Any]:
        return (record for record in records if record.change > self._since)

    def _journeys(self) -> Iterator[Delivery]:
        for delivery in self._newer(self._workspace.deliveries.values()):
            if any(member in delivery.origin for member in _BY_JOURNEY):
                yield delivery

    def _known(self, delivery: Delivery) -> str | None:
        """The person, unless they are gone: then nothing tells whose it was."""
        return delivery.person if delivery.person in self._workspace.people else None
