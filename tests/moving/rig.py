"""Two warehouses of one workspace, and what is moved between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from cio_pipelines.moving.adoption import Adoption, adopt
from cio_pipelines.moving.move import MoveReport, move
from cio_pipelines.sync.key import SyncKey
from cio_pipelines.sync.specs import PEOPLE
from tests.engines.rig import EngineRig

PERSON: dict[str, sa.types.TypeEngine[Any]] = {
    "email": sa.String(),
    "first_name": sa.String(),
    "plan": sa.String(),
    "score": sa.Double(),
}
"""Attributes of `person`; scores are whole, which no two engines write alike."""


def person(number: int, **values: Any) -> dict[str, Any]:
    """A row of the mart; names have characters that engines escape differently."""
    return {
        "person_id": f"p{number}",
        "email": f"p{number}@example.com",
        "first_name": "Zoë\x7f</b>",
        "plan": "free",
        "score": float(number),
        **values,
    }


@dataclass
class MovingRig:
    """A workspace that moves from one warehouse to another; Customer.io is the same sandbox for both."""

    old: EngineRig
    new: EngineRig
    max_attempts: int = field(default=3)

    @property
    def key(self) -> SyncKey:
        return SyncKey(self.old.workspace, PEOPLE.name)

    def move(self, **choices: Any) -> MoveReport:
        mart = self.old.engine().mart()
        return move(
            self.old.warehouse,
            self.new.warehouse,
            self.key,
            **{"max_attempts": self.max_attempts, "mart": mart, **choices},
        )

    def adopt(self) -> Adoption:
        return adopt(self.new.warehouse, self.key, self.new.engine().mart(), max_attempts=self.max_attempts)
