"""The tables that storage exports are loaded into, in the schema `customerio`.

Columns are those that loaders of versions 4 and 5 of the files agree on. A file that lacks some leaves them
NULL; what a file has besides is kept in `other_columns`. The moment 1970-01-01 00:00:00 stands in the files
for one that is not known, and is NULL here. Moments are UTC.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from cio_pipelines.exports.datasets import (
    FILE,
    LOADED_AT,
    WORKSPACE,
    Dataset,
    dataset,
    flag,
    moment,
    number,
    text,
)
from cio_pipelines.landing.manifest import metadata, prepare_manifest
from cio_pipelines.warehouse import WarehouseConnection
from cio_pipelines.warehouse.migrations import Migration, creation_of, migrate, version_table

_versions = version_table("exports_version", metadata)

_MONTHLY = "TIMESTAMP_TRUNC(created_at, MONTH)"
"""A first export has years in it, and one statement of BigQuery may write to 4,000 partitions at most."""


def _common(*names: str) -> list[sa.Column[Any]]:
    """Columns that mean the same in several tables."""
    return [number(name, _COMMENTS[name]) for name in names]


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

_DELIVERIES = dataset(
    "deliveries",
    "One row a message that Customer.io made for a person.",
    "delivery_id",
    [
        text("delivery_id", "Customer.io's id of the message."),
        text("internal_customer_id", _CIO_ID),
        text("subject_id", "The person's journey that it is part of, as in `export_subjects.subject_name`."),
        text("event_id", "The event that triggered it."),
        text("delivery_type", "How it is sent: email, push, sms, webhook, …"),
        *_common("campaign_id", "action_id", "newsletter_id", "content_id", "trigger_id"),
        moment("created_at", "When it was made."),
        number("transactional_message_id", "The transactional message."),
        *_common("seq_num"),
    ],
    recency=_BY_SEQ,
    partition_by=_MONTHLY,
    cluster_by=("delivery_id",),
)

_METRICS = dataset(
    "metrics",
    "One row an event of a message: sent, delivered, opened, clicked, …",
    "event_id",
    [
        text("event_id", "Customer.io's id of the event."),
        text("delivery_id", _DELIVERY_ID),
        text("metric", "What happened: sent, delivered, opened, …"),
        text("reason", "Why it failed, bounced or was dropped."),
        number("link_id", "The link that was clicked."),
        text("link_url", "Where the link leads."),
        moment("created_at", "When it happened."),
        *_common("seq_num"),
        flag("proxied", "Opened by a proxy that hides the person. Newer files only, as the columns below."),
        flag("prefetched", "Loaded ahead, such as by Apple Mail, and perhaps never seen."),
        flag("machine", "Opened or clicked by a machine, such as a link scanner."),
        text("user_agent", "The program that opened it, in its own words."),
        text("email_client", "The mail program."),
        text("inbox_domain", "Domain of the address."),
        text("inbox_provider", "Who runs the mailbox."),
        text("mx_host", "The mail exchanger that took it."),
    ],
    recency=_BY_SEQ,
    partition_by=_MONTHLY,
    cluster_by=("delivery_id", "event_id"),
)

_SUBJECTS = dataset(
    "subjects",
    "One row a person's journey through a campaign or broadcast.",
    "subject_name",
    [
        text("subject_name", "Customer.io's id of the journey."),
        text("internal_customer_id", _CIO_ID),
        text("campaign_type", "What kind of campaign it is."),
        *_common("campaign_id"),
        text("event_id", "The event that began it."),
        *_common("trigger_id"),
        moment("started_campaign_at", "When the person entered."),
        moment("created_at", "When the row was made."),
        *_common("seq_num"),
    ],
    recency=_BY_SEQ,
    partition_by=_MONTHLY,
    cluster_by=("subject_name",),
)

_OUTPUTS = dataset(
    "outputs",
    "One row a step of a journey, with what became of it.",
    "output_id",
    [
        text("output_id", "Customer.io's id of the step."),
        text("subject_name", "The journey, as in `export_subjects`."),
        text("output_type", "What kind of step it is."),
        *_common("action_id"),
        text("explanation", "Why it ended as it did."),
        text("delivery_id", "The message that the step made, as in `export_deliveries`."),
        flag("draft", "Whether the message waits for somebody to send it."),
        flag("link_tracked", "Whether links in it are tracked."),
        number("split_test_index", "The branch of a split test that was taken."),
        moment("delay_ends_at", "When a delay ends."),
        number("branch_index", "The branch that was taken."),
        number("manual_segment_id", "The manual segment that was changed."),
        flag("add_to_manual_segment", "Whether the person was added to it, or removed."),
        moment("created_at", "When the step was taken."),
        *_common("seq_num"),
    ],
    recency=_BY_SEQ,
    partition_by=_MONTHLY,
    cluster_by=("output_id",),
)

PEOPLE = dataset(
    "people",
    "One row a person, those who were deleted or suppressed included.",
    "internal_customer_id",
    [
        text("customer_id", "The person's id as it was sent to Customer.io; NULL for who has none."),
        text("internal_customer_id", _CIO_ID),
        flag("deleted", "Whether the person was deleted."),
        flag("suppressed", "Whether the person was deleted and may not come back."),
        moment("created_at", "When the person was made."),
        moment("updated_at", "When the person changed last."),
        text("email_addr", "The e-mail address."),
    ],
    recency=("updated_at",),
    cluster_by=("internal_customer_id",),
)

ATTRIBUTES = dataset(
    "attributes",
    "One row an attribute of a person, those that were removed included.",
    "internal_customer_id attribute_name",
    [
        text("internal_customer_id", _CIO_ID),
        text("attribute_name", "Name of the attribute."),
        text("attribute_value", "Its value as text; NULL when it was removed."),
        moment("timestamp", "When it was set."),
    ],
    recency=("timestamp",),
    cluster_by=("internal_customer_id", "attribute_name"),
)

_CONTENTS = dataset(
    "delivery_contents",
    "One row a message, as it was sent. Files do not say which state is newer: the later file decides.",
    "delivery_id",
    [
        text("delivery_id", _DELIVERY_ID),
        *_common("campaign_id", "action_id", "newsletter_id", "content_id"),
        text("from", "Sender."),
        text("reply_to", "Where answers go."),
        text("bcc", "Hidden recipients."),
        text("recipient", "Whom it was sent to: an address, a number or a device."),
        text("subject", "Subject line."),
        text("body", "The message."),
        text("body_amp", "The message as AMP."),
        text("body_plain", "The message as plain text."),
        text("preheader", "Text that mail programs show beside the subject."),
        text("url", "Where a webhook was sent to."),
        text("method", "HTTP method of a webhook."),
        text("headers", "Headers of the message or webhook.", nested=True),
        text("type", "How it was sent: email, push, sms, webhook, …"),
    ],
    rows_at_once=200,
    cluster_by=("delivery_id",),
)

_CAMPAIGNS = dataset(
    "campaigns",
    "One row a campaign.",
    "campaign_id",
    [
        number("campaign_id", "Customer.io's number of the campaign."),
        text("name", "Its name."),
        moment("created_at", "When it was made."),
        moment("updated_at", "When it was changed last."),
        number("version", "Grows with each change."),
        text("topic_names", "Topics that its messages belong to, a JSON array.", nested=True),
    ],
    recency=("version", "updated_at"),
)

_BROADCASTS = dataset(
    "broadcasts",
    "One row a broadcast.",
    "broadcast_id",
    [
        number("broadcast_id", "Customer.io's number of the broadcast."),
        text("name", "Its name."),
        moment("created_at", "When it was made."),
        moment("updated_at", "When it was changed last."),
        text("topic_names", "Topics that its messages belong to, a JSON array.", nested=True),
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
    text("dataset", "Table of the export, as the file's name has it."),
    number(WORKSPACE, "Customer.io's number of the workspace, as the file's name has it."),
    text(FILE, "Path of the export in the landing zone."),
    number("position", "Number of the row in it, from 1."),
    text("reason", "Why it is not in a table of its own."),
    text("content", "The row, a JSON object."),
    moment(LOADED_AT, "When the row reached this table."),
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
