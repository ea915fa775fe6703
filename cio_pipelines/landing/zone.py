"""A folder or a bucket that objects are written to once, whole, and never changed in."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import fsspec  # pyright: ignore[reportMissingTypeStubs]

from cio_pipelines.landing.errors import LandingUnavailable, ObjectExists

_PARTIAL = ".partial-"
"""Begins the name of a file that is still being written; a killed writer leaves one, and nobody reads it."""


@dataclass(frozen=True, slots=True, order=True)
class LandedObject:
    """An object: `path` inside the zone with `/` between its parts, `size` in bytes."""

    path: str
    size: int


class LandingZone:
    """The place that a URL names, through fsspec; `file://` and `gs://` are supported.

    Paths are relative to the URL and use `/`. Safe for use by several threads.

    Args:
        url: `file:///absolute/folder` or `gs://bucket/prefix`.

    Raises:
        LandingUnavailable: the URL names no such place.
    """

    def __init__(self, url: str) -> None:
        protocol, separator, _ = url.partition("://")
        if not separator or protocol not in ("file", "gs"):
            raise LandingUnavailable(
                f"LANDING_URL names no landing zone that this release knows: {protocol[:20]!r}.",
                "Set it to file:///absolute/folder or gs://bucket/prefix.",
            )
        self.url = url.rstrip("/")
        options: dict[str, Any] = {}
        if protocol == "gs":
            # it remembers listings: a new object would be invisible to `ls`
            options = {"use_listings_cache": False}
            # before anything else it would ask what kind of bucket this is, which takes a right of its own
            os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        with self._translated("opened"):
            opened = cast("tuple[Any, str]", fsspec.url_to_fs(self.url, **options))  # pyright: ignore[reportUnknownMemberType]
        self._fs, self._root = opened
        self._local = Path(self._root) if protocol == "file" else None

    def write(self, path: str, data: bytes) -> None:
        """Write an object that is not there yet; when this returns it is whole and durable.

        Raises:
            ObjectExists: there is one of that name.
            LandingUnavailable: it could not be written; there is no trace of it under that name.
        """
        try:
            with self._translated(f"written to ({path})"):
                if self._local is not None:
                    _write_durably(self._local / path, data)
                else:
                    self._create(path, data)
        except _NameTaken:
            raise ObjectExists(
                f"The landing zone {self.url} has an object {path} already.",
                "Objects are never changed: give the new one another name.",
            ) from None

    def read(self, path: str) -> bytes:
        """The bytes of an object. Raises LandingUnavailable."""
        with self._translated(f"read ({path})"):
            return self._fs.cat_file(self._absolute(path))

    def chunks(self, path: str, size: int = 1_000_000) -> Iterator[bytes]:
        """The bytes of an object, at most `size` of them at a time. Raises LandingUnavailable."""
        told = f"read ({path})"
        with self._translated(told):
            file = self._fs.open(self._absolute(path), "rb")
        with file:
            while True:
                with self._translated(told):
                    data: bytes = file.read(size)
                if not data:
                    return
                yield data

    def folders(self, prefix: str) -> list[str]:
        """Names of the folders directly under a folder, sorted; none when it is not there.

        Raises LandingUnavailable.
        """
        return sorted(_name(entry) for entry in self._entries(prefix) if entry["type"] == "directory")

    def objects(self, prefix: str) -> Iterator[LandedObject]:
        """The objects directly in a folder ("" is the zone itself), in no order; none when it is not there.

        Raises LandingUnavailable.
        """
        for entry in self._entries(prefix):
            if entry["type"] == "file" and not _name(entry).startswith("."):
                yield LandedObject(f"{prefix.strip('/')}/{_name(entry)}".lstrip("/"), int(entry["size"]))

    def check_writable(self) -> None:
        """See whether objects can be written now. Raises LandingUnavailable with the reason.

        A folder is tried in the way that objects are written, with a file that is removed at once; a bucket
        is only asked whether it answers.
        """
        with self._translated("written to"):
            if self._local is None:
                self._fs.ls(self._bucket, detail=False, max_results=1)
                return
            trial = self._local / f"{_PARTIAL}{uuid4().hex}-check"
            _write_durably(trial, b"")
            trial.unlink()

    def _create(self, path: str, data: bytes) -> None:
        try:
            self._fs.pipe_file(self._absolute(path), data, mode="create")
        except FileExistsError:
            raise _NameTaken from None

    @property
    def _bucket(self) -> str:
        return self._root.split("/", 1)[0]

    def _absolute(self, path: str) -> str:
        return f"{self._root.rstrip('/')}/{path.strip('/')}"

    def _entries(self, prefix: str) -> list[dict[str, Any]]:
        with self._translated(f"listed ({prefix})"):
            try:
                return self._fs.ls(self._absolute(prefix), detail=True)
            except FileNotFoundError:
                if self._local is None:
                    # no such folder in it, or no such bucket
                    self._fs.ls(self._bucket, detail=False, max_results=1)
                return []

    @contextmanager
    def _translated(self, done: str) -> Generator[None]:
        try:
            yield
        except _NameTaken:
            raise
        except Exception as error:
            # the libraries behind the URLs raise what they like: OSError, HTTP errors, credentials' errors
            raise LandingUnavailable(
                f"The landing zone {self.url} cannot be {done}: {_reason(error)}.",
                "Check LANDING_URL, that it exists, and the rights on it.",
            ) from error


class _NameTaken(Exception):
    """There is an object of that name."""


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
            raise _NameTaken from None
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


def _name(entry: dict[str, Any]) -> str:
    return str(entry["name"]).rstrip("/").rpartition("/")[2]


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (
        f"{type(error).__name__}: {str(error).splitlines()[0][:200]}" if str(error) else type(error).__name__
    )
