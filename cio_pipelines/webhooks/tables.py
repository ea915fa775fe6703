"""The tables that reported events are loaded into, in the schema `customerio`."""

from __future__ import annotations

import sqlalchemy as sa

from cio_pipelines.landing.manifest import metadata, prepare_manifest
from cio_pipelines.warehouse import WarehouseConnection
from cio_pipelines.warehouse.functions import UtcTimestamp
from cio_pipelines.warehouse.migrations import Migration, creation_of, migrate, version_table

_versions = version_table("webhooks_version", metadata)

webhook_events = sa.Table(
    "webhook_events",
    metadata,
    sa.Column("event_id", sa.String, comment="Customer.io's id of the event, a ULID; unique here."),
    sa.Column("object_type", sa.String, comment="What it is about: email, push, sms, customer, …"),
    sa.Column("metric", sa.String, comment="What happened: sent, opened, unsubscribed, …"),
    sa.Column("event_at", UtcTimestamp, comment="When it happened, UTC, whole seconds."),
    sa.Column("event_date", sa.Date, comment="UTC day of `event_at`."),
    sa.Column("received_at", UtcTimestamp, comment="When our receiver took it, UTC."),
    sa.Column("person_id", sa.String, comment="The person's id; NULL when Customer.io names none."),
    sa.Column("cio_id", sa.String, comment="Customer.io's own id of the person."),
    sa.Column("delivery_id", sa.String, comment="The message it is about; NULL for events of a person."),
    sa.Column("campaign_id", sa.BigInteger, comment="The campaign that sent the message."),
    sa.Column("action_id", sa.BigInteger, comment="The action of the campaign or broadcast."),
    sa.Column("broadcast_id", sa.BigInteger, comment="The API-triggered broadcast that sent the message."),
    sa.Column("trigger_id", sa.BigInteger, comment="The trigger of the broadcast."),
    sa.Column("newsletter_id", sa.BigInteger, comment="The newsletter that the message is of."),
    sa.Column("content_id", sa.BigInteger, comment="The newsletter's variant."),
    # the specification gives it no type, and journey ids occur as text and as numbers
    sa.Column("transactional_message_id", sa.String, comment="The transactional message that was sent."),
    sa.Column("journey_id", sa.String, comment="The person's journey through the campaign."),
    sa.Column("event", sa.String, comment="The whole event, as the JSON text that was received."),
    sa.Column("file", sa.String, comment="Path of the object in the landing zone that it came in first."),
    sa.Column("loaded_at", UtcTimestamp, comment="When it reached this table, UTC."),
    sa.Column("run_id", sa.String, comment="The run that loaded it."),
    comment="One row an event that Customer.io reported.",
    # models read what was loaded since they were built last, with the JSON, which is most of what there is
    info={"partition_by": "event_date", "cluster_by": ("loaded_at", "object_type")},
)

webhook_quarantine = sa.Table(
    "webhook_quarantine",
    metadata,
    sa.Column("file", sa.String, comment="Path of the object in the landing zone."),
    sa.Column("line", sa.BigInteger, comment="Number of the line in it, from 1."),
    sa.Column("reason", sa.String, comment="What is wrong with it."),
    sa.Column("text", sa.String, comment="The line as it is."),
    sa.Column("run_id", sa.String, comment="The run that read it last."),
    sa.Column("quarantined_at", UtcTimestamp, comment="When it was read last, UTC."),
    comment="One row a landed line that could not be understood as an event.",
)

_MIGRATIONS: tuple[Migration, ...] = (creation_of(webhook_events, webhook_quarantine),)


def prepare_webhooks(connection: WarehouseConnection) -> None:
    """Create the tables, or bring those of an older release up to date. Raises StateVersionError."""
    prepare_manifest(connection)
    migrate(connection, _versions, _MIGRATIONS)
