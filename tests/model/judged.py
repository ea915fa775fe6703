"""What must hold after each run: plan, ledger, snapshot, open people, letters and profiles."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from hypothesis.stateful import RuleBasedStateMachine

from tests.sync.rig import Rig

from .drawing import FIRST_COLUMNS
from .reference import ERASURE, Decision, Known, Operation, Reference, Row


@dataclass
class Pending:
    """A killed run whose ledger nobody has committed."""

    run_id: str
    decision: Decision


class Judged(RuleBasedStateMachine):
    """A history as it is told by the engine's tables and the sandbox, beside the reference."""

    rig: ClassVar[Rig]
    steps: ClassVar[int] = 0
    runs: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.reference = Reference(FIRST_COLUMNS)
        self.pending: Pending | None = None
        self.doubtful: dict[str, set[str]] = {}
        """Whom Customer.io may have more of than it acknowledged: operations whose answer was lost."""
        self.seen = 0

    def _ledger(self, run_id: str) -> tuple[set[tuple[str, int]], set[tuple[str, int]]]:
        accepted = self.rig.state("select person_id, phase from sync_acks where run_id = ?", run_id)
        refused = self.rig.state(
            "select person_id, phase from sync_log where run_id = ? and entry = 'rejected'", run_id
        )
        for places in (accepted, refused):
            assert len(set(places)) == len(places), "one operation with two outcomes of a kind"
        return set(accepted), set(refused)  # type: ignore[arg-type]

    def _check_plan(
        self, run_id: str, decision: Decision, planned: int | None = None, left_alone: int | None = None
    ) -> None:
        found = sorted(
            (person, name, why, attempts, tuple(sorted(json.loads(f"{{{removals or ''}}}"))), fault)
            for person, name, why, attempts, removals, fault in self.rig.state(
                "select person_id, operation, why, attempts, removals, fault_reason from sync_plan"
                " where run_id = ?",
                run_id,
            )
        )
        wanted = sorted(
            (each.person, each.name, each.why, each.attempts, tuple(sorted(each.removals)), each.fault)
            for each in decision.operations
        )
        assert found == wanted
        if planned is not None:
            assert (planned, left_alone) == (len(wanted), decision.left_alone)

    def _witness(self, run_id: str, decision: Decision) -> tuple[set[tuple[str, int]], set[tuple[str, int]]]:
        """What the sandbox received against what the ledger says of it."""
        log = self.rig.log()
        received: dict[tuple[str, str], list[str]] = {}
        for action, person, outcome in log[self.seen :]:
            received.setdefault((person, action), []).append(outcome)
        self.seen = len(log)
        accepted, refused = self._ledger(run_id)
        planned = {(each.person, each.name): each for each in decision.operations if each.fault is None}
        assert received.keys() <= planned.keys(), "sent what was not planned"
        for key, operation in planned.items():
            place, outcomes = (operation.person, operation.phase), received.get(key, [])
            if place in accepted:
                assert outcomes[-1:] in (["accepted"], ["ignored"]), f"{key} was never accepted"
            elif place in refused:
                assert "rejected" in outcomes, f"{key} was never refused"
            self._doubt(operation, outcomes, is_accepted=place in accepted)
        return accepted, refused

    def _doubt(self, operation: Operation, outcomes: list[str], *, is_accepted: bool) -> None:
        content = set() if operation.content == ERASURE else set(operation.content)
        person = operation.person
        if not is_accepted:
            if any(outcome != "rejected" for outcome in outcomes):
                self.doubtful.setdefault(person, set()).update(content)
        elif operation.name in ("suppress", "delete"):
            self.doubtful.pop(person, None)
        elif operation.name == "identify":
            if "accepted" not in outcomes:
                assert person in self.doubtful, f"{person} is blocked there, and was identified"
            elif self.doubtful.get(person, set()) <= content | operation.removals:
                self.doubtful.pop(person, None)

    def _check_state(self) -> None:
        reference = self.reference
        if self.pending is not None:
            return  # until the next run nothing of it counts, and what did not change was looked at before
        found = {
            person: Known(state, _content(state, text, hashed), at, None)
            for person, state, text, hashed, at in self.rig.state(
                "select person_id, state, attributes, attributes_hash, source_updated_at from synced_people"
            )
        }
        wanted = {
            person: replace(known, columns=None, content=known.content if known.state == "identified" else "")
            for person, known in reference.snapshot.items()
        }
        assert found == wanted
        for table, kind, rows in (
            ("open_people", "outcome", reference.open),
            ("dead_letters", "kind", reference.letters),
        ):
            stored = {
                (person, operation, outcome, attempts, is_erasure)
                for person, operation, outcome, attempts, is_erasure in self.rig.state(
                    f"select person_id, operation, {kind}, attempts, attributes_hash = '{ERASURE}'"
                    f" from {table}"
                )
            }
            assert stored == {
                (person, row.operation, row.outcome, row.attempts, row.content == ERASURE)
                for person, row in rows.items()
            }, table
        self._check_profiles()

    def _check_profiles(self) -> None:
        profiles = self.rig.profiles()
        for person, known in self.reference.snapshot.items():
            if person in self.doubtful:
                continue
            if known.state == "identified":
                assert profiles.get(person) == known.content, f"{person} is another there"
            else:
                assert person not in profiles, f"{person} is still there"
        strangers = profiles.keys() - self.reference.snapshot.keys() - self.doubtful.keys()
        assert not strangers, f"{strangers} are there and nobody knows"

    def _check_end(self, person: str, row: Row) -> None:
        known, letter = self.reference.snapshot.get(person), self.reference.letters.get(person)
        if letter is not None:
            assert letter.outcome == "quarantined"
        else:
            assert known is not None
            if row.deleted_at is not None:
                assert known.state == "deleted"
            elif row.opted_out:
                assert known.state in ("suppressed", "deleted")
            else:
                assert known.content == self.reference.content(row)


def _content(state: str, text: str | None, hashed: str) -> Any:
    if state != "identified":
        assert state == "suppressed" or (hashed == ERASURE and text is None)
        return ""
    return json.loads(text or "")
