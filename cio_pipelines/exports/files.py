"""Which objects of a landing zone are exports, and what their names say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from cio_pipelines.exports.tables import DATASETS, OTHER, TABLES
from cio_pipelines.landing import LandedObject, LandingZone
from cio_pipelines.landing.manifest import Known

_NAME = re.compile(
    r"(?P<table>[a-z][a-z0-9_]*?)_v(?P<version>\d{1,3})_(?P<workspace>\d{1,18})_(?P<number>\d{1,40})\.parquet"
)
_ALIASES: dict[str, str] = dict.fromkeys(("content", "contents", "delivery_content"), "delivery_contents")
"""Customer.io names this table in words only; loaders write it as in `TABLES`."""


@dataclass(frozen=True, slots=True)
class ExportFile:
    """An object named `<table>_v<version>_<workspace_id>_<number>.parquet`."""

    item: LandedObject
    table: str
    version: int
    workspace_id: int
    number: int

    @property
    def path(self) -> str:
        return self.item.path

    @property
    def dataset(self) -> str:
        """A key of `TABLES`: OTHER for tables that this release does not know."""
        return self.table if self.table in DATASETS else OTHER

    @property
    def order(self) -> str:
        """Version, then number, as text that sorts: of rows that are equally recent the greatest wins."""
        return f"{self.version:03}-{self.number:040}"


@dataclass(frozen=True, slots=True)
class Exports:
    """The exports of a zone: dataset → files, the oldest first. `foreign` are paths of other objects."""

    files: Mapping[str, tuple[ExportFile, ...]]
    foreign: tuple[str, ...]


def unloaded(files: Iterable[ExportFile], loaded: Mapping[str, Known]) -> Iterator[ExportFile]:
    """Files that were not loaded, or were written anew since: the newest rows win, whichever they are."""
    for file in files:
        known = loaded.get(file.path)
        if known is None or known.is_other(file.item):
            yield file


def parsed(item: LandedObject) -> ExportFile | None:
    """The export that an object is, by its name; None for any other object."""
    found = _NAME.fullmatch(item.path)
    if found is None:
        return None
    table = _ALIASES.get(found["table"], found["table"])
    return ExportFile(item, table, int(found["version"]), int(found["workspace"]), int(found["number"]))


def dataset_of(path: str) -> str | None:
    """The dataset of the export that an object is, None for any other object."""
    file = parsed(LandedObject(path, 0))
    return file.dataset if file is not None else None


def list_exports(zone: LandingZone) -> Exports:
    """What lies directly in the zone's root. Raises LandingUnavailable."""
    files: dict[str, list[ExportFile]] = {name: [] for name in TABLES}
    foreign: list[str] = []
    for item in zone.objects(""):
        file = parsed(item)
        if file is None:
            foreign.append(item.path)
        else:
            files[file.dataset].append(file)
    ordered = {
        name: tuple(sorted(each, key=lambda file: (file.order, file.path))) for name, each in files.items()
    }
    return Exports(ordered, tuple(sorted(foreign)))
