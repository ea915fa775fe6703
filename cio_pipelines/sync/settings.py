"""How a workspace is synced."""

from __future__ import annotations

from dataclasses import dataclass, field

from cio_pipelines.customerio import Region
from cio_pipelines.sync.guards import GuardLimits
from cio_pipelines.sync.push import PushSettings


@dataclass(frozen=True, slots=True)
class SyncSettings:
    """The settings of one workspace's sync.

    `workspace` names it in the state's keys. `shared_emails_conflict`: the workspace identifies people
    by e-mail too, so two people with one e-mail are quarantined. `unsubscribe_opted_out`: people who
    opted out of everything get `unsubscribed` instead of being suppressed. `max_attempts` refusals of
    the same content make a dead letter. `retention_days` is how long plans and ledgers are kept.
    `requests_per_second` is the rate by which a push's time is estimated; the client keeps to its own.
    """

    workspace: str
    region: Region = Region.US
    shared_emails_conflict: bool = True
    unsubscribe_opted_out: bool = False
    max_attempts: int = 3
    retention_days: int = 30
    requests_per_second: float = 100.0
    guards: GuardLimits = field(default_factory=GuardLimits)
    push: PushSettings = field(default_factory=PushSettings)
