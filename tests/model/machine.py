"""What may happen in a history of a workspace: hypothesis draws one of these rules after the other."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from cio_pipelines.sync.errors import SyncInProgress
from cio_pipelines.sync.windows import Window

from .drawing import MOMENTS, TYPES, VALUES, attributes, fault_plans, people, some, windows
from .history import History
from .mortal import mortal
from .reference import Row


class PeopleHistory(History):
    """The warehouse changes, the sync runs, fails or is killed, and people use its commands."""

    @rule(
        person=people,
        values=attributes,
        at=st.sampled_from(MOMENTS),
        out=st.sampled_from((False, False, None, True)),
    )
    def somebody_is_new_or_comes_back_or_is_another(
        self, person: str, values: dict[str, Any], at: datetime | None, out: bool | None
    ) -> None:
        self._step()
        self._put(person, Row(at, values, out))

    @rule(who=st.sets(people, min_size=3), at=st.sampled_from(MOMENTS))
    def many_are_new(self, who: set[str], at: datetime | None) -> None:
        self._step()
        for person in sorted(who):
            email = f"{person[:5]}@example.com"
            self._put(person, Row(at, {**dict.fromkeys(TYPES), "email": email, "plan": "free"}))

    @rule(
        who=some,
        name=st.sampled_from(tuple(TYPES)),
        place=st.integers(0, 9),
        at=st.sampled_from((*MOMENTS, "as it was")),
    )
    def an_attribute_changes(self, who: set[str], name: str, place: int, at: Any) -> None:
        self._step()
        for person in sorted(who & self.reference.mart.keys()):
            row = self.reference.mart[person]
            value = VALUES[name][place % len(VALUES[name])]
            moment = row.updated_at if at == "as it was" else at
            self._put(person, replace(row, attributes={**row.attributes, name: value}, updated_at=moment))

    @rule(one=people, other=people, at=st.sampled_from(MOMENTS))
    def two_swap_their_emails(self, one: str, other: str, at: datetime | None) -> None:
        self._step()
        mart = self.reference.mart
        if one in mart and other in mart:
            emails = [mart[who].attributes["email"] for who in (other, one)]
            for person, email in zip((one, other), emails, strict=True):
                row = mart[person]
                self._put(person, replace(row, attributes={**row.attributes, "email": email}, updated_at=at))

    @rule(who=some, out=st.booleans(), at=st.sampled_from(MOMENTS))
    def somebody_opts_out_or_in(self, who: set[str], out: bool, at: datetime | None) -> None:
        self._step()
        for person in sorted(who & self.reference.mart.keys()):
            self._put(person, replace(self.reference.mart[person], opted_out=out, updated_at=at))

    @rule(who=some, at=st.sampled_from((None, *MOMENTS[:3])))
    def a_tombstone_is_set_or_taken_back(self, who: set[str], at: datetime | None) -> None:
        self._step()
        for person in sorted(who & self.reference.mart.keys()):
            self._put(person, replace(self.reference.mart[person], deleted_at=at))

    @rule(who=some)
    def somebody_vanishes_from_the_mart(self, who: set[str]) -> None:
        self._step()
        for person in who & self.reference.mart.keys():
            del self.reference.mart[person]
            self.is_written = False

    @rule(name=st.sampled_from(("plan", "seats", "city", "email")))
    def a_column_is_added_or_dropped(self, name: str) -> None:
        self._step()
        columns = self.reference.columns
        left = tuple(each for each in columns if each != name)
        self.reference.columns = left if name in columns else (*columns, name)
        self.is_written = False

    # runs

    @rule(window=windows(), faults=fault_plans())
    def a_run(self, window: Window, faults: list[dict[str, Any]]) -> None:
        self._step()
        self._run(window, faults)

    @rule(faults=fault_plans())
    def an_erasure(self, faults: list[dict[str, Any]]) -> None:
        self._step()
        self._run(None, faults)

    @rule(window=st.one_of(windows(), st.none()), faults=fault_plans(), writes=st.integers(3, 24))
    def a_run_is_killed(self, window: Window | None, faults: list[dict[str, Any]], writes: int) -> None:
        self._step()
        self._run(window, faults, self.engine(mortal(self.rig.warehouse, writes)))

    @rule(window=st.one_of(windows(), st.none()))
    def a_dry_run(self, window: Window | None) -> None:
        self._step()
        engine, run_id = self.engine(), self.rig.new_id()
        plan = self._planned(engine, run_id, window, dry_run=True)
        self._finish_pending()
        self._check_plan(run_id, self._decided(window), plan.planned, plan.left_alone)
        assert len(self.rig.log()) == self.seen, "a dry run sent something"
        self._check_state()

    @rule(window=windows(), other=windows(), again=st.booleans(), who=some, at=st.sampled_from(MOMENTS))
    def another_run_wants_the_lease(
        self, window: Window, other: Window, again: bool, who: set[str], at: datetime | None
    ) -> None:
        """Meanwhile the mart changes, and letters are replayed: what is pushed is older than that."""
        self._step()
        engine, run_id = self.engine(), self.rig.new_id()
        plan = self._planned(engine, run_id, window)
        self._finish_pending()
        decision = self._decided(window)
        self._check_plan(run_id, decision, plan.planned, plan.left_alone)
        rival = self.rig.new_id()
        with pytest.raises(SyncInProgress):
            self._planned(self.engine(), rival, other)
        if again:
            replayed = self.engine().replay()
            assert replayed == self.reference.replay()
            if replayed:  # who is taken up amid a run is none of its second
                time.sleep(1 - time.time() % 1)
        for person in sorted(who & self.reference.mart.keys()):
            row = self.reference.mart[person]
            self._put(person, replace(row, attributes={**row.attributes, "plan": "new"}, updated_at=at))
        self._write_mart()
        engine.push(run_id)
        self._end(run_id, decision)

    @rule(who=st.one_of(st.none(), some))
    def letters_are_replayed(self, who: set[str] | None) -> None:
        self._step()
        people = None if who is None else sorted(who)
        assert self.engine().replay(people) == self.reference.replay(who)
        self._check_state()

    @precondition(lambda self: self.pending is None)
    @rule()
    def the_snapshot_is_cleared(self) -> None:
        """Everybody is new again; what was erased or suppressed there is not known here any more."""
        self._step()
        blocked = {who for who, known in self.reference.snapshot.items() if known.state != "identified"}
        if blocked:  # to forget whom Customer.io has blocked is to leave them blocked
            return
        self.rig.state("delete from synced_people")
        for person, known in self.reference.snapshot.items():
            self.doubtful.setdefault(person, set()).update(known.content)
        self.reference.snapshot.clear()
