"""What is broadcast: which broadcast of Customer.io, to whom by which model, and how many at most."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

KEY = "cio_pipelines_key"
"""Member of a trigger's `data` that tells which of our triggers it is."""


@dataclass(frozen=True, slots=True)
class AudienceLimits:
    """An audience larger than `people`, or than `share` of the people known there, is not written to.

    Known are those whom the people sync has identified in the workspace. Without a share their number does
    not matter, as for a workspace whose people come from elsewhere.
    """

    people: int = 10_000
    share: float | None = 0.25

    def __post_init__(self) -> None:
        if self.people < 1 or (self.share is not None and not 0 < self.share <= 1):
            raise ValueError("an audience's limits are at least one person, and a share above 0 up to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class BroadcastSpec:
    """An API-triggered broadcast and the model of those who get it.

    Attributes:
        name: part of the asset's key and of all state; another name is another broadcast, whose days have
            not been triggered yet.
        broadcast_id: the broadcast's number in Customer.io.
        schema, table: the model, one row a recipient (and day).
        identified_by: whether `identifier` holds ids or e-mail addresses.
        identifier: column with who it goes to; never NULL, and not twice for a day.
        day: column of dates: the partition a row belongs to. Without one everybody in the model is the
            audience, as it is on the day of the run.
        person_data: columns that become data of the person for the message; NULLs are left out.
        data: the same for everybody.
        limits: the guard on the audience.
        ignore_missing: leave out who is not in Customer.io; otherwise one such person fails it all.
        add_duplicates: of several people with one e-mail address write to each; for e-mail addresses only.
        days_late: for so many days after its own a partition may be triggered.
        reached_share: part of the audience that must have been reached for the check to pass.
        sandbox_only: an example, which no workspace of Customer.io's own is to send.
    """

    name: str
    broadcast_id: int
    schema: str
    table: str
    identified_by: Literal["id", "email"] = "id"
    identifier: str = "person_id"
    day: str | None = "day"
    person_data: tuple[str, ...] = ()
    data: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    limits: AudienceLimits = AudienceLimits()
    ignore_missing: bool = True
    add_duplicates: bool = False
    days_late: int = 2
    reached_share: float = 0.95
    sandbox_only: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise ValueError(f"a broadcast's name is lower case with underscores, not {self.name!r}")
        if self.broadcast_id < 1:
            raise ValueError(f"{self.name}: broadcast_id is the broadcast's number in Customer.io, from 1")
        if self.add_duplicates and self.identified_by == "id":
            raise ValueError(f"{self.name}: add_duplicates is for audiences by e-mail address")
        if KEY in self.data:
            raise ValueError(f"{self.name}: the member {KEY} of data is made here")
        if self.days_late < 0 or not 0 <= self.reached_share <= 1:
            raise ValueError(f"{self.name}: days_late is not negative, and reached_share from 0 to 1")

    @property
    def relation(self) -> str:
        """`schema.table`, for messages."""
        return f"{self.schema}.{self.table}"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the model must have."""
        return (self.identifier, *(() if self.day is None else (self.day,)), *self.person_data)


WIN_BACK = BroadcastSpec(
    name="win_back",
    broadcast_id=1,
    schema="analytics",
    table="customerio_win_back_recipients",
    person_data=("plan", "orders_count", "last_ordered_at"),
    sandbox_only=True,
)
"""The demo's: to people on the ninetieth day after their last order."""

BROADCASTS = (WIN_BACK,)
"""Each is an asset `customerio/<name>_broadcast`."""
