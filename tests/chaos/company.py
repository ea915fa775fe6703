"""A company to sync, and what must be true of it whatever went wrong: the promises of the design."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from cio_pipelines.sync.push import PushSettings
from cio_pipelines.sync.reports import Outcomes
from tests.sync.rig import EVERYTHING, Rig

from .matrix import BODY, IDENTIFIED, SUPPRESSED

MARK = "planted"
"""In every e-mail and name of the company, and so in nothing that a run says."""
FLUSH_PEOPLE = 2 * BODY
PUSH = PushSettings(max_in_flight=2, flush_people=FLUSH_PEOPLE, flush_seconds=60.0, rows_per_batch=BODY)
"""Flushed by number only, so that there are flushes to strike however fast the machine is."""
UNSENDABLE = 2
CHANGED = tuple(f"p{number}" for number in range(5, IDENTIFIED, 60))
"""Whose rows change between the fault and the next run."""


@dataclass
class Company:
    """Some six hundred people between a mart and a sandbox; some are opted out, two cannot be sent."""

    rig: Rig
    said: list[str] = field(default_factory=list[str])
    """Everything that runs have said."""

    def found(self) -> None:
        """Make the mart."""
        self.rig.defaults["push"] = PUSH
        self.rig.make_mart()
        self.rig.sql(
            f"""insert into analytics.customerio_people
            select 'p' || i, '2026-05-01', i >= ?, null, 'p' || i || '@{MARK}.example', '{MARK} ' || i, 'free'
            from range(?) as r(i)""",
            IDENTIFIED,
            IDENTIFIED + SUPPRESSED,
        )
        self.rig.sql(
            f"""insert into analytics.customerio_people
            select 'long' || i, '2026-05-01', false, null, 'long' || i || '@{MARK}.example',
            repeat('{MARK}', 200), 'free' from range(?) as r(i)""",
            UNSENDABLE,
        )

    def move_on(self) -> None:
        """Life goes on: a few rows change."""
        names = ", ".join(f"'{person}'" for person in CHANGED)
        self.rig.sql(
            f"""update analytics.customerio_people set plan = 'paid', updated_at = '2026-05-02'
            where person_id in ({names})"""
        )

    def mart(self) -> dict[str, dict[str, Any]]:
        """What Customer.io should hold."""
        rows = self.rig.sql(
            """select person_id, email, first_name, plan from analytics.customerio_people
            where not opted_out and length(first_name) <= 1000"""
        )
        names = ("email", "first_name", "plan")
        return {person: dict(zip(names, values, strict=True)) for person, *values in rows}

    def sent_twice(self) -> int:
        """Operations that the sandbox took more than once of people whose rows never changed."""
        sent = Counter(person for _, person, outcome in self.rig.log() if outcome != "rejected")
        return sum(max(0, count - 1) for person, count in sent.items() if person not in CHANGED)

    def accepted_in(self, run_id: str) -> int:
        """Operations that the ledger holds as accepted."""
        return self.rig.state("select count(*) from sync_acks where run_id = ?", run_id)[0][0]

    def ended_by(self, run_id: str) -> str | None:
        """What the ledger says ended the run."""
        return self.rig.state("select ended_by from sync_runs where run_id = ?", run_id)[0][0]

    def catch_up(self) -> int:
        """Sync until there is nothing to send; returns how many runs had something to."""
        for runs in range(5):
            ran = self.rig.run(approvals=EVERYTHING)
            if ran.plan.planned == 0:
                return runs
            assert ran.outcomes.complete
        raise AssertionError("five runs after the fault there is still something to send")

    def keeps_its_promises(self, faulted: str) -> None:
        """Assert them, after a fault in the run `faulted` and the runs that made up for it."""
        mart = self.mart()
        assert self.rig.profiles() == mart
        opted_out = {f"p{number}" for number in range(IDENTIFIED, IDENTIFIED + SUPPRESSED)}
        assert {
            key for key, person in self.rig.sandbox.people().items() if person.get("suppressed")
        } == opted_out
        self._remembers(mart, opted_out)
        self._told_truly(faulted)
        self._told_nothing_personal()

    def _remembers(self, mart: dict[str, dict[str, Any]], opted_out: set[str]) -> None:
        snapshot = self.rig.state("select person_id, state, attributes from synced_people")
        identified = {person: json.loads(text) for person, state, text in snapshot if state == "identified"}
        assert identified == mart
        assert {person for person, state, _ in snapshot if state == "suppressed"} == opted_out
        assert len(snapshot) == len(mart) + len(opted_out)  # nobody twice
        assert self.rig.state("select count(*) from open_people") == [(0,)]
        dead = self.rig.state("select person_id, kind from dead_letters order by 1")
        assert dead == [(f"long{number}", "quarantined") for number in range(UNSENDABLE)]

    def _told_truly(self, faulted: str) -> None:
        engine = self.rig.engine()
        for run_id, status in self.rig.state("select run_id, status from sync_runs"):
            if status in ("extracted", "blocked", "dry_run"):
                assert self.accepted_in(run_id) == 0
                continue
            assert status == "committed", (run_id, status)
            outcomes: Outcomes = engine.outcomes(run_id)
            assert outcomes.complete, (run_id, outcomes)
        # nobody in two outcomes, said once more in plain words
        assert self.rig.state(
            """select count(*) from sync_acks as a join sync_log as l
            on a.run_id = l.run_id and a.person_id = l.person_id and a.phase = l.phase
            where l.entry in ('rejected', 'deferred')"""
        ) == [(0,)]
        # whom the ledger of the faulted run has as accepted was not planned again, unless their row changed
        again = self.rig.state(
            """select distinct p.person_id from sync_plan as p join sync_acks as a
            on a.person_id = p.person_id and a.phase = p.phase
            where a.run_id = ? and p.run_id <> a.run_id and p.operation <> 'unsuppress'""",
            faulted,
        )
        assert {person for (person,) in again} <= set(CHANGED)
        assert self.rig.state("select count(*) from sync_lease where owner <> ''") == [(0,)]

    def _told_nothing_personal(self) -> None:
        ledger = self.rig.state(
            """select coalesce(reason, '') || ' ' || coalesce(field, '') || ' ' || coalesce(message, '')
            from sync_log union select coalesce(ended_by, '') from sync_runs"""
        )
        secret = self.rig.sandbox.options.track_api_key
        for text in [*self.said, *(row[0] for row in ledger)]:
            assert MARK not in text, "a run said something personal"
            assert secret not in text, "a run said a secret"
