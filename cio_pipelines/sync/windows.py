"""Which part of the mart a sync looks at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Window:
    """Rows whose `updated_at` lies in [start, end), both with a zone; everything when both are None.

    Raises ValueError for half a window, an empty one, or a moment without a zone.
    """

    start: datetime | None = None
    end: datetime | None = None

    def __post_init__(self) -> None:
        if (self.start is None) != (self.end is None):
            raise ValueError("a window has both ends or none")
        if self.start is None or self.end is None:
            return
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("the ends of a window need a time zone")
        if self.start >= self.end:
            raise ValueError("a window ends after it starts")

    @property
    def is_full(self) -> bool:
        """Whether the whole mart is looked at."""
        return self.start is None

    def __str__(self) -> str:
        if self.start is None or self.end is None:
            return "the whole mart"
        shown = [moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M") for moment in (self.start, self.end)]
        return f"[{shown[0]}, {shown[1]}) UTC"


FULL = Window()
