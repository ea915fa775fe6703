"""What was given up, of the syncs and of the message queue."""

import dagster as dg

from cio_pipelines import messaging_metadata
from cio_pipelines.defs.events.assets import tracked_events
from cio_pipelines.defs.people.assets import identified_profiles
from cio_pipelines.resources import LettersResource


@dg.asset(
    key=["customerio", "dead_letters"],
    deps=[identified_profiles, tracked_events],
    group_name="messaging",
    owners=["team:growth"],
    kinds={"python", "customerio"},
)
def dead_letters(context: dg.AssetExecutionContext, letters: LettersResource) -> dg.MaterializeResult:
    """Operations and messages that are left alone until somebody corrects and replays them: rows that the
    people and event syncs gave up, and messages of the queue. Numbers only; `cio dead-letters` shows them.
    """
    return dg.MaterializeResult(metadata=messaging_metadata.of_census(letters.census(context)))
