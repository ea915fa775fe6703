"""What a load of storage exports did, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cio_pipelines.landing.reports import Counts, FailedFile


@dataclass(frozen=True, slots=True)
class ExportReport:
    """A load. `datasets`: name → what was read of its files.

    Of `Counts`, `inserted` are keys that were new, or of which the files had a newer row than the table;
    `quarantined` are rows without a key, which `export_other` keeps; `repeated` is the rest.
    `unsettled` counts failed files that later runs shall try again, whether or not this one did.
    """

    datasets: Mapping[str, Counts] = field(default_factory=dict[str, Counts])
    failed: tuple[FailedFile, ...] = ()
    unsettled: int = 0
    seconds: float = 0.0

    @property
    def total(self) -> Counts:
        """The sum over all datasets."""
        return sum(self.datasets.values(), Counts())
