"""What the people sync promises, as plain Python over dictionaries: nothing here is the engine's code.

One `Reference` is a workspace with its mart. `decide` says what a run must plan, `settle` what must be
remembered once it is known which operations were accepted and which were refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

MAX_ATTEMPTS = 3
LONGEST_ID, LONGEST_VALUE = 150, 1_000
ERASURE = "erasure"
Content = dict[str, Any] | str
"""The attributes that are sent, or ERASURE."""


@dataclass(frozen=True)
class Row:
    """A row of the mart; `attributes` are of all columns there may be, None for NULL."""

    updated_at: datetime | None
    attributes: Mapping[str, Any]
    opted_out: bool | None = False
    deleted_at: datetime | None = None


@dataclass(frozen=True)
class Known:
    """A row of the snapshot."""

    state: str
    content: Content
    updated_at: datetime | None
    columns: tuple[str, ...] | None


@dataclass(frozen=True)
class Open:
    """A row of the open people, or a dead letter, of which `outcome` is then the kind."""

    operation: str
    content: Content
    outcome: str
    attempts: int
    reason: str | None = None

    def speaks_of(self, operation: str, content: Content) -> bool:
        wanted = "identify" if self.operation == "unsuppress" else self.operation
        return wanted == operation and self.content == content


@dataclass(frozen=True)
class Operation:
    """One planned operation."""

    person: str
    name: str
    why: str
    content: Content
    updated_at: datetime | None
    attempts: int = 0
    removals: frozenset[str] = frozenset()
    fault: str | None = None

    @property
    def phase(self) -> int:
        return 2 if self.name in ("identify", "delete") else 1


@dataclass
class Decision:
    """A run between its plan and its end."""

    kind: str
    is_full: bool
    columns: tuple[str, ...]
    operations: list[Operation] = field(default_factory=list[Operation])
    looked_at: set[str] = field(default_factory=set[str])
    left_alone: int = 0
    selected: int = 0


@dataclass
class Reference:
    """The workspace as it must be."""

    columns: tuple[str, ...]
    mart: dict[str, Row] = field(default_factory=dict[str, Row])
    snapshot: dict[str, Known] = field(default_factory=dict[str, Known])
    open: dict[str, Open] = field(default_factory=dict[str, Open])
    letters: dict[str, Open] = field(default_factory=dict[str, Open])

    def content(self, row: Row) -> dict[str, Any]:
        return {name: row.attributes[name] for name in self.columns if row.attributes.get(name) is not None}

    # planning

    def decide(self, start: datetime | None = None, end: datetime | None = None) -> Decision:
        """A people run over [start, end), or over everything."""
        decision = Decision("people", start is None, self.columns)
        decision.looked_at = {who for who, row in self.open.items() if row.content != ERASURE}
        for person, row in self.mart.items():
            within = _is_within(row.updated_at, start, end)
            if not within and person not in self.open:
                continue
            decision.selected += 1
            if row.deleted_at is None:
                self._decide_one(decision, person, row)
        return decision

    def _decide_one(self, decision: Decision, person: str, row: Row) -> None:
        known, content = self.snapshot.get(person), self.content(row)
        name = "suppress" if row.opted_out else "identify"
        if name == "suppress":
            needed = known is None or known.state == "identified"
        else:
            needed = known is None or known.state != "identified" or known.content != content
        if not needed:
            return
        letter, waiting = self.letters.get(person), self.open.get(person)
        fault = self._fault(person, content, name)
        if letter is not None and letter.speaks_of(name, content):
            is_same = letter.outcome == "rejected" or letter.reason == fault
            if is_same:
                decision.left_alone += 1
                return
        attempts = waiting.attempts if waiting is not None and waiting.speaks_of(name, content) else 0
        why = self._why(name, known, row)
        gone: set[str] = set()
        if name == "identify" and known is not None and known.state == "identified":
            gone = set(known.content) - set(content)
        planned = Operation(person, name, why, content, row.updated_at, attempts, frozenset(gone), fault)
        if why == "returned" and fault is None:
            decision.operations.append(
                Operation(person, "unsuppress", why, content, row.updated_at, attempts)
            )
        decision.operations.append(planned)

    def _why(self, name: str, known: Known | None, row: Row) -> str:
        if name == "suppress":
            return "opted_out"
        if known is None:
            return "new"
        if known.state != "identified":
            return "returned"
        if known.columns != self.columns:
            return "mapping"
        return "silent" if known.updated_at == row.updated_at else "changed"

    def _fault(self, person: str, content: dict[str, Any], name: str) -> str | None:
        if len(person.encode()) > LONGEST_ID:
            return "too_long"
        if name == "suppress":
            return None
        if any(isinstance(value, str) and len(value.encode()) > LONGEST_VALUE for value in content.values()):
            return "too_long"
        own = (content.get("email") or "").lower()
        return "shared" if own and self._addresses()[own] > 1 else None

    def _addresses(self) -> Counter[str]:
        if "email" not in self.columns:
            return Counter()
        living = (row for row in self.mart.values() if row.deleted_at is None)
        return Counter((row.attributes.get("email") or "").lower() for row in living)

    def decide_erasures(self) -> Decision:
        """An erasure: whoever bears a tombstone is blocked, then deleted."""
        decision = Decision("erasure", True, self.columns)
        decision.looked_at = {who for who, row in self.open.items() if row.content == ERASURE}
        for person, row in self.mart.items():
            if row.deleted_at is None:
                continue
            decision.selected += 1
            known = self.snapshot.get(person)
            letter, waiting = self.letters.get(person), self.open.get(person)
            if letter is not None and letter.content == ERASURE:
                decision.left_alone += 1
                continue
            state = known.state if known is not None else ""
            said = max(at for at in (row.updated_at, row.deleted_at) if at is not None)
            fault = "too_long" if len(person.encode()) > LONGEST_ID else None
            for name, needed in (
                ("suppress", state not in ("suppressed", "deleted")),
                ("delete", state != "deleted"),
            ):
                attempts = 0
                if waiting is not None and waiting.speaks_of(name, ERASURE):
                    attempts = waiting.attempts
                if needed:
                    decision.operations.append(
                        Operation(person, name, "tombstone", ERASURE, said, attempts, frozenset(), fault)
                    )
        return decision

    # ending

    def settle(
        self, decision: Decision, accepted: set[tuple[str, int]], refused: set[tuple[str, int]]
    ) -> None:
        """End a run of which these operations, by person and phase, were accepted and refused."""
        for person in decision.looked_at:
            self.open.pop(person, None)
        by_person: dict[str, list[Operation]] = {}
        for operation in decision.operations:
            by_person.setdefault(operation.person, []).append(operation)
        for person, operations in by_person.items():
            self.open.pop(person, None)
            self.letters.pop(person, None)
            for operation in operations:
                if (person, operation.phase) in accepted:
                    self._accept(decision, operation)
            left = [each for each in operations if (person, each.phase) not in accepted]
            if left:
                self._keep(left[0], is_refused=(person, left[0].phase) in refused)
        if decision.kind == "people" and decision.is_full:
            for person, known in self.snapshot.items():
                if known.state == "identified" and person not in self.open and person not in self.letters:
                    self.snapshot[person] = Known(
                        known.state, known.content, known.updated_at, decision.columns
                    )

    def _accept(self, decision: Decision, operation: Operation) -> None:
        if operation.name == "unsuppress":
            self.snapshot.pop(operation.person, None)
            return
        states = {"identify": "identified", "suppress": "suppressed", "delete": "deleted"}
        columns = decision.columns if decision.kind == "people" else None
        self.snapshot[operation.person] = Known(
            states[operation.name], operation.content, operation.updated_at, columns
        )

    def _keep(self, operation: Operation, *, is_refused: bool) -> None:
        attempts = operation.attempts + int(is_refused)
        kind = "quarantined" if operation.fault else "rejected" if is_refused else "due"
        row = Open(operation.name, operation.content, kind, attempts, operation.fault)
        is_dead = kind == "quarantined" or (is_refused and attempts >= MAX_ATTEMPTS)
        (self.letters if is_dead else self.open)[operation.person] = row

    def replay(self, people: set[str] | None = None) -> int:
        """Take dead letters up again; returns how many there were."""
        chosen = [who for who in self.letters if people is None or who in people]
        for person in chosen:
            letter = self.letters.pop(person)
            if letter.content != ERASURE and person not in self.open:
                self.open[person] = Open(letter.operation, letter.content, "due", 0, letter.reason)
        return len(chosen)


def _is_within(at: datetime | None, start: datetime | None, end: datetime | None) -> bool:
    if start is None or end is None:
        return True
    return at is not None and start <= at < end
