"""Looking whether what Customer.io accepted in a run is there, and what becomes of what is not.

    verifier = Verifier(warehouse, key, settings, connect)
    found = verifier.verify(run_id)

People, or events, are read back and compared, and the workspace's activity log is read for the run's time.
The log accuses and reading back judges: whom the log names is read back too, and who is as accepted after all
has lost nothing. It is all written down; those to whom it was not applied are due again, or dead letters.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from cio_pipelines.customerio import AppClient, CustomerIOError
from cio_pipelines.sync.errors import SyncInProgress
from cio_pipelines.sync.key import RunKey, SyncKey
from cio_pipelines.sync.lease import Lease
from cio_pipelines.sync.ledger_audit import LedgerAudit, sums_by_day, sums_of_all_time
from cio_pipelines.sync.runs import EVENTS, PEOPLE, Runs, run_key
from cio_pipelines.sync.state import prepare_state
from cio_pipelines.sync.witness_reports import WitnessReport
from cio_pipelines.verification import events, people
from cio_pipelines.verification.comparing import Compared, Expected
from cio_pipelines.verification.reading import (
    FAILED_BATCH,
    FAILED_CHANGE,
    FAILED_EVENT,
    SKIPPED,
    Entry,
    Log,
    Patience,
    forgive_removals,
    read_log,
    read_people,
)
from cio_pipelines.verification.reports import (
    Applied,
    Difference,
    Kind,
    NotVerifiable,
    ReadBack,
    Recorded,
    Settled,
    Verification,
    VerificationSettings,
)
from cio_pipelines.verification.settling import read_recorded, record, settle
from cio_pipelines.warehouse import Warehouse, WarehouseConnection

_LEASE_PAUSE = 0.5
"""Seconds between tries to get the lease."""


@dataclass(slots=True)
class _Found:
    """What is known so far. `differing` holds those who differ, or were overwritten in part."""

    expected: dict[str, Expected]
    differing: dict[str, Compared] = field(default_factory=dict[str, Compared])
    log: Log = field(default_factory=Log)
    unverified: str | None = None
    waited: float = 0.0


class Verifier:
    """Verifies runs of one sync of one workspace.

    `connect` makes a client of the App API, or raises NotVerifiable to say why nothing can be read back. The
    client is made for runs only that had anything accepted. `witness` compares with storage exports, after
    runs that looked at the whole mart; for those the ledger is added up over all time, too.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        key: SyncKey,
        settings: VerificationSettings,
        connect: Callable[[], AppClient],
        witness: Callable[[], WitnessReport] | None = None,
    ) -> None:
        self._warehouse = warehouse
        self._key = key
        self._settings = settings
        self._connect = connect
        self._witness = witness
        self._of_events = key.subject == "event_id"

    def verify(self, run_id: str) -> Verification:
        """Verify a committed run, and write down what was found.

        A missing key or a failing App API is part of the verdict. Raises UnknownRun, WarehouseError.
        """
        started = time.monotonic()
        with self._state() as connection:
            row = Runs(connection, self._key).find(run_id, "committed")
            run = run_key(self._key, row)
            accepted = self._accepted(connection, run, int(row.extracted_at.timestamp()))
            count = accepted.count()
            number = self._settings.events if self._of_events else self._settings.sample
            sample = accepted.sample(number) if count and number else []
            too_old = accepted.too_old() if count and isinstance(accepted, events.AcceptedEvents) else 0
            found = Verification(run_id, count)
            if count:
                looked = self._look(accepted, sample)
                found = self._judged(run_id, count, looked, too_old)
                settled = self._settle(connection, run, found.differences)
                found = replace(found, settled=settled)
            is_full = row.window_start is None and row.kind in (PEOPLE, EVENTS)
            audit = LedgerAudit(
                sums_by_day(connection, run), sums_of_all_time(connection, self._key) if is_full else None
            )
            witness = self._witness() if is_full and self._witness is not None else None
            seconds = time.monotonic() - started
            found = replace(found, ledger=audit, witness=witness, seconds=seconds)
            record(connection, run, found)
        return found

    def recorded(self, run_id: str) -> Recorded | None:
        """The verdict on a run as it was written down; None when it was not verified. Raises UnknownRun."""
        with self._state() as connection:
            return read_recorded(connection, Runs(connection, self._key).key_of(run_id))

    @contextmanager
    def _state(self) -> Generator[WarehouseConnection]:
        with self._warehouse.session(), self._warehouse.connect() as connection:
            prepare_state(connection)
            yield connection

    def _accepted(
        self, connection: WarehouseConnection, run: RunKey, sent_at: int
    ) -> people.AcceptedPeople | events.AcceptedEvents:
        kind = events.AcceptedEvents if self._of_events else people.AcceptedPeople
        return kind(connection, run, sent_at)

    def _look(
        self, accepted: people.AcceptedPeople | events.AcceptedEvents, sample: Sequence[Expected]
    ) -> _Found:
        found = _Found({each.subject: each for each in sample})
        try:
            client = self._connect()
            asyncio.run(self._ask(client, accepted, found))
        except (NotVerifiable, CustomerIOError) as error:
            found.unverified = str(error)
        return found

    async def _ask(
        self, client: AppClient, accepted: people.AcceptedPeople | events.AcceptedEvents, found: _Found
    ) -> None:
        """Read back and read the log. What was found until an error stays in `found`."""
        read = events.read_events if self._of_events else read_people
        patience = Patience(self._settings.wait_seconds)
        async with client:
            found.differing |= await read(client, list(found.expected.values()))
            await self._accuse(client, accepted, found)
            while (pending := self._pending(found)) and await patience.wait():
                again = await read(client, pending)
                for each in pending:
                    found.differing.pop(each.subject)
                found.differing |= again
            found.waited = patience.waited
            if patience.waited:
                await self._accuse(client, accepted, found)
            if not self._of_events:
                await forgive_removals(client, found.expected, found.differing)

    async def _accuse(
        self, client: AppClient, accepted: people.AcceptedPeople | events.AcceptedEvents, found: _Found
    ) -> None:
        """Read the log of the run's time, and read back whom it names beside the sample."""
        found.log = await read_log(client, self._types, accepted.sent_at, self._settings.pages)
        named = {entry.person_id for entry in found.log.entries if entry.person_id}
        if not self._reads_back:
            self._believe(accepted.named(named), found)
            return
        known = {each.person_id for each in found.expected.values()} if not self._of_events else set[str]()
        others = [
            each
            for each in accepted.named(named - known)
            if each.subject not in found.expected and self._reason(found.log, each, "")
        ]
        found.expected |= {each.subject: each for each in others}
        read = events.read_events if self._of_events else read_people
        found.differing |= await read(client, others)

    def _believe(self, named: Sequence[Expected], found: _Found) -> None:
        """Without reading back the log alone judges, by its failures: what was skipped had a newer word."""
        for each in named:
            failed = [
                entry
                for entry in found.log.of(each.person_id)
                if entry.type != SKIPPED and _concerns(entry, each, "")
            ]
            names = {name for entry in failed for name in entry.attributes if name in (each.attributes or {})}
            if failed:
                reported: dict[str, Kind] = dict.fromkeys(set() if each.event_id else names, "reported")
                found.expected[each.subject] = each
                found.differing[each.subject] = Compared(reported or {"": "reported"})

    @property
    def _types(self) -> tuple[str, ...]:
        return (FAILED_EVENT, FAILED_BATCH) if self._of_events else (FAILED_CHANGE, SKIPPED, FAILED_BATCH)

    @property
    def _reads_back(self) -> bool:
        return bool(self._settings.events if self._of_events else self._settings.sample)

    def _pending(self, found: _Found) -> list[Expected]:
        """Who differ, and of whom no entry of the log says that it will stay so."""
        return [
            found.expected[subject]
            for subject, compared in found.differing.items()
            if compared.differing
            and not all(self._reason(found.log, found.expected[subject], name) for name in compared.differing)
        ]

    def _reason(self, log: Log, each: Expected, attribute: str) -> str:
        """The type of the entry that tells why an attribute, or all, was not applied; empty for none."""
        for entry in log.of(each.person_id):
            if _concerns(entry, each, attribute):
                return entry.type
        return ""

    def _judged(self, run_id: str, count: int, found: _Found, too_old: int) -> Verification:
        differences = [
            Difference(each.person_id, name, kind, self._reason(found.log, each, name), each.event_id)
            for subject, compared in sorted(found.differing.items())
            for name, kind in sorted(compared.differing.items())
            for each in (found.expected[subject],)
        ]
        differing = {difference.event_id or difference.person_id for difference in differences}
        if found.unverified is not None:
            read_back = ReadBack(unverified=found.unverified)
            return Verification(run_id, count, read_back, Applied(unverified=found.unverified))
        read_back = ReadBack(
            unverified=None if self._reads_back else "Reading back is switched off.",
            sampled=len(found.expected) if self._reads_back else 0,
            agreed=len(found.expected) - len(differing),
            overwritten=sum(len(compared.overwritten) for compared in found.differing.values()),
            too_old=too_old,
            waited_seconds=found.waited,
        )
        return Verification(run_id, count, read_back, self._applied(found, differing), tuple(differences))

    def _applied(self, found: _Found, differing: set[str]) -> Applied:
        of_run = {each.person_id for each in found.expected.values()}
        named = {entry.person_id for entry in found.log.entries} & of_run
        confirmed = {found.expected[subject].person_id for subject in differing} & named
        return Applied(
            unverified=found.log.unverified,
            entries=dict(Counter(entry.type for entry in found.log.entries)),
            confirmed=len(confirmed),
            settled=len(named - confirmed),
            unattributed=sum(entry.person_id not in of_run for entry in found.log.entries),
            unread=found.log.unread,
        )

    def _settle(
        self, connection: WarehouseConnection, run: RunKey, differences: Sequence[Difference]
    ) -> Settled:
        if not differences:
            return Settled()
        lease = Lease(self._key, f"{run.run_id}/verification")
        until = time.monotonic() + self._settings.wait_seconds
        while True:
            try:
                lease.acquire(connection)
                break
            except SyncInProgress as error:
                if time.monotonic() + _LEASE_PAUSE > until:
                    return Settled(left=str(error))
                time.sleep(_LEASE_PAUSE)
        try:
            if self._of_events:
                how = events.standing_events, events.disclaim_events
            else:
                how = people.standing_people, people.disclaim_people
            return settle(connection, run, differences, self._settings, *how)
        finally:
            lease.release(connection)


def _concerns(entry: Entry, each: Expected, attribute: str) -> bool:
    """Whether an entry about the person can be about this: an empty attribute is the whole operation."""
    if each.event_id:
        return entry.name in ("", each.name)
    names = {name for name in entry.attributes if not name.startswith("_")}
    return not attribute or not names or attribute in names


__all__ = ["Verifier"]
