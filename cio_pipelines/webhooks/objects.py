"""The landed objects of events, by UTC day of receipt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date

from cio_pipelines.landing import LandedObject, LandingZone
from cio_pipelines.webhooks.layout import PREFIX, place_of

_TYPE, _DAY = "object_type=", "received="


class Landed:
    """A look at a zone: which folders it has is asked once, the objects in them each time."""

    def __init__(self, zone: LandingZone) -> None:
        """Raises LandingUnavailable."""
        self._zone = zone
        self._folders: dict[date, list[str]] = {}
        for kind in zone.folders(PREFIX):
            if not kind.startswith(_TYPE):
                continue
            for name in zone.folders(f"{PREFIX}/{kind}"):
                day = _day(name)
                if day is not None:
                    self._folders.setdefault(day, []).append(f"{PREFIX}/{kind}/{name}")

    @property
    def days(self) -> list[date]:
        """Days of which there may be objects, oldest first."""
        return sorted(self._folders)

    def folders(self, day: date) -> list[str]:
        """Paths of the folders of a day, one for each object type."""
        return sorted(self._folders.get(day, []))

    def objects(self, days: Iterable[date]) -> Iterator[LandedObject]:
        """The objects of some days, by folder and name, listed while they are taken.

        Raises LandingUnavailable.
        """
        return (item for item in self.files(days) if place_of(item.path) is not None)

    def files(self, days: Iterable[date]) -> Iterator[LandedObject]:
        """All that lies in the folders of some days, also what is no object of events.

        Raises LandingUnavailable.
        """
        for day in days:
            for folder in self.folders(day):
                yield from self._zone.objects(folder)


def _day(folder: str) -> date | None:
    if not folder.startswith(_DAY):
        return None
    try:
        return date.fromisoformat(folder.removeprefix(_DAY))
    except ValueError:
        return None
