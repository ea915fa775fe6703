"""The tables that storage exports are loaded into, in the schema `customerio`.

Columns are those that loaders of versions 4 and 5 of the files agree on. A file that lacks some leaves them
NULL; what a file has besides is kept in `other_columns`. The moment 1970-01-01 00:00:00 stands in the files
for one that is not known, and is NULL here. Moments are UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from cio_pipelines.landing.manifest import metadata, prepare_manifest
from cio_pipelines.warehouse import WarehouseConnection
from cio_pipelines.warehouse.functions import UtcTimestamp
from cio_pipelines.warehouse.migrations import Migration, creation_of, migrate, version_table

OTHER_COLUMNS, FILE, FILE_ORDER, LOADED_AT = "other_columns", "file", "file_order", "loaded_at"
WORKSPACE = "workspace_id"

_versions = version_table("exports_version", metadata)

_MONTHLY = "TIMESTAMP_TRUNC(created_at, MONTH)"
"""A first export has years in it, and one statement of BigQuery may write to 4,000 partitions at most."""


def _number(name: str, comment: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, comment=comment)


def _text(name: str, comment: str, *, nested: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.String, comment=comment, info={"nested": nested})


def _flag(name: str, comment: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Boolean, comment=comment)


def _moment(name: str, comment: str) -> sa.Column[Any]:
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


def _dataset(
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
    info = {"partition_by": partition_by} if partition_by else {}
    table = sa.Table(
        f"export_{name}",
        metadata,
        _number(WORKSPACE, "Customer.io's number of the workspace."),
        *columns,
        _text(OTHER_COLUMNS, "What the file has in other columns, a JSON object; NULL without."),
        _text(FILE, "Path of the export in the landing zone that the row is from."),
        _text(FILE_ORDER, "Version and number of that file, in a form that sorts."),
        _moment(LOADED_AT, "When the row reached this table."),
        comment=comment,
        info={**info, "cluster_by": (WORKSPACE, *cluster_by)},
    )
    return Dataset(name, table, (WORKSPACE, *key.split()), recency, rows_at_once)


def _common(*names: str) -> list[sa.Column[Any]]:
    """Columns that mean the same in several tables."""
    return [_number(name, _COMMENTS[name]) for name in names]


_COMMENTS = {
    "campaign_id": "The campaign, or the API-triggered broadcast.",
    "action_id": "The action of the campaign or broadcast.",
    "newsletter_id": "The newsletter.",
    "content_id": "The newsletter's variant.",
    "trigger_id": "The trigger of the broadcast.",
    "seq_num": "Grows with each state of the row: the greatest is the newest.",
}
_CIO_ID = "Customer.io's own id of the person (cio_id), which never changes."
_DELIVERY_ID = "The message, as in `export_deliveries`."
_BY_SEQ = ("seq_num", "created_at")

_DELIVERIES = _dataset(
    "deliveries",
    "One row a message that Customer.io made for a person.",
    "delivery_id",
    [
        _text("delivery_id", "Customer.io's id of the message."),
        _text("internal_customer_id", _CIO_ID),
        _text("subject_id", "The person's journey that it is part of, as in `export_subjects.subject_name`."),
        _text("event_id", "The event that triggered it."),
        _text("delivery_type", "How it is sent: email, push, sms, webhook, …"),
        *_common("campaign_id", "action_id", "newsletter_id", "content_id", "trigger_id"),
        _moment("created_at", "When it was made."),
        _number("transactional_message_id", "The transactional message."),
        *_common("seq_num"),
    ],
    recency=_BY_SEQ,
    partition_by=_MONTHLY,
    cluster_by=("delivery_id",),
)

_METRICS = _dataset(
    "metrics",
    "One row an event of a message: sent, delivered, opened, clicked, …",
    "event_id",
    [
        _text("event_id", "Customer.io's id of the event."),
        _text("delivery_id", _DELIVERY_ID),
        _text("metric", "What happened: sent, delivered, opened, …"),
        _text("reason", "Why it failed, bounced or was dropped."),
        _number("link_id", "The link that was clicked."),
        _text("link_url", "Where the link leads."),
        _moment("created_at", "When it happened."),
        *_common("seq_num"),
        _flag("proxied", "Opened by a proxy that hides the person. Newer files only, as the columns below."),
        _flag("prefetched", "Loaded ahead, such as by Apple Mail, and perhaps never seen."),
        _flag("machine", "Opened or clicked by a machine, such as a link scanner."),
        _text("user_agent", "The program that opened it, in its own words."),
        _text("email_client", "The mail program."),
        _text("inbox_domain", "Domain of the address."),
        _text("inbox_provider", "Who runs the mailbox."),
        _text("mx_host", "The mail exchanger that took it."),
    ],
    recency=_BY_SEQ,
    partition_by=_MONTHLY,
    cluster_by=("delivery_id", "event_id"),
)

_SUBJECTS = _dataset(
    "subjects",
    "One row a person's journey through a campaign or broadcast.",
    "subject_name",
    [
        _text("subject_name", "Customer.io's id of the journey."),
        _text("internal_customer_id", _CIO_ID),
        _text("campaign_type", "What kind of campaign it is."),
        *_common("campaign_id"),
        _text("event_id", "The event that began it."),
        *_common("trigger_id"),
        _moment("started_campaign_at", "When the person entered."),
        _moment("created_at", "When the row was made."),
        *_common("seq_num"),
    ],
    recency=_BY_SEQ,
    partition_by=_MONTHLY,
    cluster_by=("subject_name",),
)

_OUTPUTS = _dataset(
    "outputs",
    "One row a step of a journey, with what became of it.",
    "output_id",
    [
        _text("output_id", "Customer.io's id of the step."),
        _text("subject_name", "The journey, as in `export_subjects`."),
        _text("output_type", "What kind of step it is."),
        *_common("action_id"),
        _text("explanation", "Why it ended as it did."),
        _text("delivery_id", "The message that the step made, as in `export_deliveries`."),
        _flag("draft", "Whether the message waits for somebody to send it."),
        _flag("link_tracked", "Whether links in it are tracked."),
        _number("split_test_index", "The branch of a split test that was taken."),
        _moment("delay_ends_at", "When a delay ends."),
        _number("branch_index", "The branch that was taken."),
        _number("manual_segment_id", "The manual segment that was changed."),
        _flag("add_to_manual_segment", "Whether the person was added to it, or removed."),
        _moment("created_at", "When the step was taken."),
        *_common("seq_num"),
    ],
    recency=_BY_SEQ,
    partition_by=_MONTHLY,
    cluster_by=("output_id",),
)

PEOPLE = _dataset(
    "people",
    "One row a person, those who were deleted or suppressed included.",
    "internal_customer_id",
    [
        _text("customer_id", "The person's id as it was sent to Customer.io; NULL for who has none."),
        _text("internal_customer_id", _CIO_ID),
        _flag("deleted", "Whether the person was deleted."),
        _flag("suppressed", "Whether the person was deleted and may not come back."),
        _moment("created_at", "When the person was made."),
        _moment("updated_at", "When the person changed last."),
        _text("email_addr", "The e-mail address."),
    ],
    recency=("updated_at",),
    cluster_by=("internal_customer_id",),
)

ATTRIBUTES = _dataset(
    "attributes",
    "One row an attribute of a person, those that were removed included.",
    "internal_customer_id attribute_name",
    [
        _text("internal_customer_id", _CIO_ID),
        _text("attribute_name", "Name of the attribute."),
        _text("attribute_value", "Its value as text; NULL when it was removed."),
        _moment("timestamp", "When it was set."),
    ],
    recency=("timestamp",),
    cluster_by=("internal_customer_id", "attribute_name"),
)

_CONTENTS = _dataset(
    "delivery_contents",
    "One row a message, as it was sent. Files do not say which state is newer: the later file decides.",
    "delivery_id",
    [
        _text("delivery_id", _DELIVERY_ID),
        *_common("campaign_id", "action_id", "newsletter_id", "content_id"),
        _text("from", "Sender."),
        _text("reply_to", "Where answers go."),
        _text("bcc", "Hidden recipients."),
        _text("recipient", "Whom it was sent to: an address, a number or a device."),
        _text("subject", "Subject line."),
        _text("body", "The message."),
        _text("body_amp", "The message as AMP."),
        _text("body_plain", "The message as plain text."),
        _text("preheader", "Text that mail programs show beside the subject."),
        _text("url", "Where a webhook was sent to."),
        _text("method", "HTTP method of a webhook."),
        _text("headers", "Headers of the message or webhook.", nested=True),
        _text("type", "How it was sent: email, push, sms, webhook, …"),
    ],
    rows_at_once=200,
    cluster_by=("delivery_id",),
)

_CAMPAIGNS = _dataset(
    "campaigns",
    "One row a campaign.",
    "campaign_id",
    [
        _number("campaign_id", "Customer.io's number of the campaign."),
        _text("name", "Its name."),
        _moment("created_at", "When it was made."),
        _moment("updated_at", "When it was changed last."),
        _number("version", "Grows with each change."),
        _text("topic_names", "Topics that its messages belong to, a JSON array.", nested=True),
    ],
    recency=("version", "updated_at"),
)

_BROADCASTS = _dataset(
    "broadcasts",
    "One row a broadcast.",
    "broadcast_id",
    [
        _number("broadcast_id", "Customer.io's number of the broadcast."),
        _text("name", "Its name."),
        _moment("created_at", "When it was made."),
        _moment("updated_at", "When it was changed last."),
        _text("topic_names", "Topics that its messages belong to, a JSON array.", nested=True),
    ],
    recency=("updated_at",),
)

DATASETS: dict[str, Dataset] = {
    each.name: each
    for each in (
        _DELIVERIES,
        _METRICS,
        _SUBJECTS,
        _OUTPUTS,
        PEOPLE,
        ATTRIBUTES,
        _CONTENTS,
        _CAMPAIGNS,
        _BROADCASTS,
    )
}

OTHER = "other"
"""Stands for all files whose table this release does not know."""

export_other = sa.Table(
    "export_other",
    metadata,
    _text("dataset", "Table of the export, as the file's name has it."),
    _number(WORKSPACE, "Customer.io's number of the workspace, as the file's name has it."),
    _text(FILE, "Path of the export in the landing zone."),
    _number("position", "Number of the row in it, from 1."),
    _text("reason", "Why it is not in a table of its own."),
    _text("content", "The row, a JSON object."),
    _moment(LOADED_AT, "When the row reached this table."),
    comment="One row a row of an export that has no table of its own, or no key.",
    info={"cluster_by": ("dataset", WORKSPACE)},
)

TABLES: dict[str, sa.Table] = {name: each.table for name, each in DATASETS.items()} | {OTHER: export_other}
"""All datasets that can be loaded, with their tables."""

_MIGRATIONS: tuple[Migration, ...] = (creation_of(*TABLES.values()),)


def prepare_exports(connection: WarehouseConnection) -> None:
    """Create the tables, or bring those of an older release up to date. Raises StateVersionError."""
    prepare_manifest(connection)
    migrate(connection, _versions, _MIGRATIONS)
