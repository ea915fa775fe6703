"""A folder on disk as a landing zone."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from cio_pipelines.landing.stores import Gone, LandedObject, NameTaken

_PARTIAL = ".partial-"
"""Begins the name of a file that is still being written; a killed writer leaves one, and nobody reads it."""


class FolderStore:
    """Files under `root`, which is made when it is missing. Safe for use by several threads."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def create(self, path: str, data: bytes) -> None:
        _write_durably(self._root / path, data)

    def read(self, path: str, generation: int) -> bytes:
        try:
            return (self._root / path).read_bytes()
        except FileNotFoundError:
            raise Gone from None

    def chunks(self, path: str, generation: int, size: int) -> Iterator[bytes]:
        try:
            file = (self._root / path).open("rb")
        except FileNotFoundError:
            raise Gone from None
        with file:
            while data := file.read(size):
                yield data

    def folders(self, prefix: str) -> list[str]:
        return [name for name, is_folder in self._entries(prefix) if is_folder]

    def objects(self, prefix: str, after: str, limit: int | None) -> Iterator[LandedObject]:
        names = (
            name
            for name, is_folder in self._entries(prefix)
            if not is_folder and name > after and not name.startswith(".")
        )
        for name in sorted(names) if limit is None else heapq.nsmallest(limit, names):
            path = f"{prefix}/{name}".lstrip("/")
            with suppress(FileNotFoundError):  # it was removed meanwhile
                yield LandedObject(path, (self._root / path).stat().st_size)

    def check_writable(self) -> None:
        """Try it as objects are written, with a file that is removed at once."""
        trial = self._root / f"{_PARTIAL}{uuid4().hex}-check"
        _write_durably(trial, b"")
        trial.unlink()

    def reason(self, error: Exception) -> str | None:
        return (error.strerror or type(error).__name__) if isinstance(error, OSError) else None

    def _entries(self, prefix: str) -> Iterator[tuple[str, bool]]:
        try:
            entries = os.scandir(self._root / prefix)
        except FileNotFoundError:
            return
        with entries:
            for entry in entries:
                is_folder = entry.is_dir()
                if is_folder or entry.is_file():
                    yield entry.name, is_folder


def _write_durably(path: Path, data: bytes) -> None:
    """Write beside, flush to the disk, give it its name: a reader sees all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{_PARTIAL}{uuid4().hex}")
    try:
        with partial.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(partial, path)  # unlike a rename it fails when the name is taken
        except FileExistsError:
            raise NameTaken from None
        _flush_folder(path.parent)
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()


def _flush_folder(folder: Path) -> None:
    """Make a new name in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
