"""What differs between syncs when a plan is carried out, and how the people sync does it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from cio_pipelines.sync.base_commit import BaseCommit
from cio_pipelines.sync.candidates import payload
from cio_pipelines.sync.commit import Commit
from cio_pipelines.sync.key import RunKey
from cio_pipelines.sync.ledger import Ledger
from cio_pipelines.sync.state import sync_acks, sync_plan


@dataclass(frozen=True, slots=True)
class Manner:
    """A sync's own parts: the operations of a run by its time of extraction (unix seconds), see `Pusher`, the
    ledger that proves a run, and the commit that ends it.
    """

    phases: Callable[[RunKey, int], Sequence[sa.Select[Any]]]
    ledger: type[Ledger]
    commit: type[BaseCommit]


def people_phases(run: RunKey, timestamp: int) -> Sequence[sa.Select[Any]]:
    """The operations of a plan of people. Who has one in both phases gets the second after the first."""
    plan = sync_plan
    first, second = (
        sa.select(
            plan.c.person_id.label("subject"), plan.c.operation, payload(plan, timestamp).label("payload")
        ).where(run.owns(plan), plan.c.phase == phase, plan.c.fault_field.is_(None))
        for phase in (1, 2)
    )
    return first, second.where(plan.c.person_id.not_in(_held_back(run)))


def _held_back(run: RunKey) -> sa.Select[tuple[str]]:
    """People whose first operation was not accepted: the second must wait for it."""
    first = sync_plan.alias("first")
    accepted = sa.select(sync_acks.c.person_id).where(run.owns(sync_acks), sync_acks.c.phase == 1)
    return sa.select(first.c.person_id).where(
        run.owns(first),
        first.c.phase == 1,
        first.c.person_id.not_in(accepted),
    )


PEOPLE = Manner(people_phases, Ledger, Commit)
