"""How what is sent by itself or by a trigger fares, and how long that takes."""

from __future__ import annotations

import time
from random import Random
from typing import Annotated, Any, Literal

import msgspec

from cio_pipelines.sandbox.outcomes import Course, Mix, Step, read_mix

Outcomes = Literal["delivered", "realistic"]
_SURE = dict.fromkeys(Mix.__struct_fields__, 0.0) | {"delivered": 1.0}
_BY_PERSON = ("opened", "machine_opened", "clicked", "machine_clicked", "converted")


class CourseSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`mix` is as `outcomes.Mix`; with none at all, everything is delivered and nothing else happens.

    Everything happens within `seconds`; with 0, at once. A triggered broadcast waits for
    `broadcast_delay` seconds until it is processed, an export for `export_seconds` until it is done.
    """

    mix: dict[str, float] | None = None
    seconds: Annotated[float, msgspec.Meta(ge=0, le=24 * 3600 * 30)] = 0.0
    broadcast_delay: Annotated[float, msgspec.Meta(ge=0, le=24 * 3600)] = 0.0
    export_seconds: Annotated[float, msgspec.Meta(ge=0, le=24 * 3600)] = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        self.shares()

    def shares(self) -> Mix:
        """The mix in full. Raises msgspec.ValidationError."""
        return read_mix(_SURE if self.mix is None else self.mix)


class Courses:
    """Draws courses one after the other. `settings` may be replaced with `configure` at any time."""

    def __init__(self, outcomes: Outcomes, seconds: float, broadcast_delay: float) -> None:
        """Raises msgspec.ValidationError for times that cannot be."""
        mix: dict[str, float] | None = None if outcomes == "delivered" else {}
        self.configure({"mix": mix, "seconds": seconds, "broadcast_delay": broadcast_delay})

    def configure(self, changes: dict[str, Any]) -> None:
        """Take some settings anew. Raises msgspec.ValidationError, and then changes nothing."""
        present = msgspec.structs.asdict(self.settings) if hasattr(self, "settings") else {}
        self.settings = msgspec.convert({**present, **changes}, CourseSettings)
        self._random = Random(self.settings.seed)  # noqa: S311  # what becomes of messages is no secret

    def draw(self, channel: str, *, tracked: bool = True) -> list[Step]:
        """What happens to one message from now on; without tracking nobody is seen to open or click it."""
        mix = self.settings.shares()
        if not tracked:
            mix = msgspec.structs.replace(mix, **dict.fromkeys(_BY_PERSON, 0.0))
        now = int(time.time())
        return Course(channel, mix, self._random, now, now + int(self.settings.seconds)).draw()
