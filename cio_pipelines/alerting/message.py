"""What an alert says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Alert:
    """A headline, what failed line by line, and where to look.

    Whoever makes one vouches that it holds nothing personal and no secret: it leaves the house.
    """

    headline: str
    lines: tuple[str, ...] = ()
    link: str | None = None

    @property
    def text(self) -> str:
        """All of it as plain text, one thing a line."""
        parts = [self.headline, *(f"• {line}" for line in self.lines), *([self.link] if self.link else [])]
        return "\n".join(parts)
