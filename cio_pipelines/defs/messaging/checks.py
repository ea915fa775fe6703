"""What says that somebody should look: many dead letters, old ones, and a queue that stands still."""

from datetime import timedelta

import dagster as dg

from cio_pipelines import messaging_metadata
from cio_pipelines.defs.messaging.assets import dead_letters
from cio_pipelines.resources import LettersResource


@dg.asset_check(asset=dead_letters)
def few_dead_letters(context: dg.AssetCheckExecutionContext, letters: LettersResource) -> dg.AssetCheckResult:
    """No more dead letters than the set number (CIO_MAX_DEAD_LETTERS)."""
    limit = letters.settings.cio_max_dead_letters
    return messaging_metadata.few_letters(letters.census(context), limit)


@dg.asset_check(asset=dead_letters)
def young_dead_letters(
    context: dg.AssetCheckExecutionContext, letters: LettersResource
) -> dg.AssetCheckResult:
    """No dead letter is older than the set time (CIO_DEAD_LETTER_HOURS)."""
    limit = timedelta(hours=letters.settings.cio_dead_letter_hours)
    return messaging_metadata.young_letters(letters.census(context), limit)


@dg.asset_check(asset=dead_letters)
def moving_queues(context: dg.AssetCheckExecutionContext, letters: LettersResource) -> dg.AssetCheckResult:
    """No message that could go has waited for longer than the set time (CIO_QUEUE_STALL_MINUTES)."""
    limit = timedelta(minutes=letters.settings.cio_queue_stall_minutes)
    return messaging_metadata.moving_queues(letters.census(context), limit)
