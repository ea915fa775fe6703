"""What proves that nothing of what Customer.io reported is lost, doubled or late."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from cio_pipelines import webhooks_metadata
from cio_pipelines.defs.webhooks.assets import webhook_events
from cio_pipelines.resources import WebhooksResource
from cio_pipelines.webhooks.audit import LATEST

DELIVERIES = dg.AssetKey(["analytics", "deliveries"])


@dg.asset_check(asset=webhook_events)
def all_files_loaded(
    context: dg.AssetCheckExecutionContext, webhooks: WebhooksResource
) -> dg.AssetCheckResult:
    """Every object of the landing zone is in the manifest as loaded, its unreadable lines in quarantine."""
    with webhooks.audit(context) as audit:
        return webhooks_metadata.all_files_loaded(audit.unloaded(webhooks_metadata.days_checked(context)))


@dg.asset_check(asset=webhook_events)
def unique_events(context: dg.AssetCheckExecutionContext, webhooks: WebhooksResource) -> dg.AssetCheckResult:
    """No `event_id` occurs twice: in a run of some days among the events that may have come on them."""
    with webhooks.audit(context) as audit:
        return webhooks_metadata.unique_events(audit.duplicates(webhooks_metadata.days_checked(context)))


@dg.asset_check(asset=webhook_events)
def quarantined_share(
    context: dg.AssetCheckExecutionContext, webhooks: WebhooksResource
) -> dg.AssetCheckResult:
    """No more than the set share (CIO_MAX_QUARANTINED_SHARE) of the landed lines is no event."""
    with webhooks.audit(context) as audit:
        counts = audit.loaded(webhooks_metadata.days_checked(context))
    return webhooks_metadata.quarantined_share(counts, webhooks.settings.cio_max_quarantined_share)


@dg.asset_check(asset=webhook_events)
def recent_arrival(context: dg.AssetCheckExecutionContext, webhooks: WebhooksResource) -> dg.AssetCheckResult:
    """The newest event was received within the set time (CIO_WEBHOOK_SILENCE_HOURS)."""
    now, limit = datetime.now(UTC), timedelta(hours=webhooks.settings.cio_webhook_silence_hours)
    since = (now - limit).date() - timedelta(days=LATEST)
    with webhooks.audit(context) as audit:
        newest = audit.newest_receipt(since)
    return webhooks_metadata.recent_arrival(newest, since, now, limit)


@dg.asset_check(asset=DELIVERIES)
def known_people(context: dg.AssetCheckExecutionContext, webhooks: WebhooksResource) -> dg.AssetCheckResult:
    """Deliveries went to people whom the warehouse knows: those of nobody are counted."""
    with webhooks.audit(context) as audit:
        return webhooks_metadata.known_people(audit.strangers(webhooks_metadata.days_checked(context)))
