"""A folder or a bucket that objects are written to once, whole, and never changed in."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from cio_pipelines.landing.errors import LandingUnavailable, ObjectChanged, ObjectExists
from cio_pipelines.landing.folder import FolderStore
from cio_pipelines.landing.stores import Gone, LandedObject, NameTaken, Store


class LandingZone:
    """The place that a URL names.

    Paths are relative to the URL and use `/`. Safe for use by several threads.

    Args:
        url: `file:///absolute/folder` or `gs://bucket/prefix`.

    Raises:
        LandingUnavailable: the URL names no such place.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        parts = urlsplit(self.url)
        self.is_bucket = parts.scheme == "gs" and bool(parts.netloc)
        if self.is_bucket:
            # an import that users of a folder need not wait for
            from cio_pipelines.landing.bucket import BucketStore

            self._store: Store = BucketStore(parts.netloc, parts.path.strip("/"))
        elif self.url.startswith("file:///"):
            self._store = FolderStore(Path(self.url.removeprefix("file://")))
        else:
            raise LandingUnavailable(
                f"LANDING_URL names no landing zone that this release knows: {url.partition('://')[0][:20]!r}.",
                "Set it to file:///absolute/folder or gs://bucket/prefix.",
            )

    def write(self, path: str, data: bytes) -> None:
        """Write an object that is not there yet; when this returns it is whole and durable.

        Raises:
            ObjectExists: there is one of that name.
            LandingUnavailable: it could not be written; there is no trace of it under that name.
        """
        try:
            with self._translated(f"written to ({path})"):
                self._store.create(path.strip("/"), data)
        except NameTaken:
            raise ObjectExists(
                f"The landing zone {self.url} has an object {path} already.",
                "Objects are never changed: give the new one another name.",
            ) from None

    def read(self, path: str, generation: int = 0) -> bytes:
        """The bytes of an object as they are stored.

        Args:
            path: of the object.
            generation: as it was listed; 0 for whichever there is.

        Raises:
            ObjectChanged: there is none of that name and generation.
            LandingUnavailable: it cannot be read.
        """
        with self._found(path), self._translated(f"read ({path})"):
            return self._store.read(path.strip("/"), generation)

    def chunks(self, path: str, generation: int = 0, size: int = 1_048_576) -> Iterator[bytes]:
        """As `read`, at most `size` bytes at a time."""
        with self._found(path):
            chunks = self._store.chunks(path.strip("/"), generation, size)
            while True:
                with self._translated(f"read ({path})"):
                    data = next(chunks, None)
                if data is None:
                    return
                yield data

    def folders(self, prefix: str) -> list[str]:
        """Names of the folders directly under a folder, sorted; none when it is not there.

        Raises LandingUnavailable.
        """
        with self._translated(f"listed ({prefix})"):
            return sorted(self._store.folders(prefix.strip("/")))

    def objects(self, prefix: str, *, after: str = "", limit: int | None = None) -> Iterator[LandedObject]:
        """The objects directly in a folder ("" is the zone itself), by name; none when it is not there.

        They are listed while they are taken, a page at a time.

        Args:
            prefix: the folder.
            after: a name in it: only objects whose names come later are listed.
            limit: the most that are listed; None for all.

        Raises:
            LandingUnavailable: it cannot be listed.
        """
        found = self._store.objects(prefix.strip("/"), after, limit)
        while True:
            with self._translated(f"listed ({prefix})"):
                item = next(found, None)
            if item is None:
                return
            yield item

    def uri(self, path: str) -> str:
        """Where an object is, for others who read it."""
        return f"{self.url}/{path}"

    def check_writable(self) -> None:
        """See whether objects can be written now, by writing one. Raises LandingUnavailable with the reason.

        In a bucket that is an empty object `.writable`, which stays.
        """
        with self._translated("written to"):
            self._store.check_writable()

    @contextmanager
    def _found(self, path: str) -> Generator[None]:
        try:
            yield
        except Gone:
            raise ObjectChanged(
                f"The object {path} of the landing zone is not there, or is another one than was listed.",
                "Objects are never changed or removed before they are loaded: see who has done it.",
            ) from None

    @contextmanager
    def _translated(self, done: str) -> Generator[None]:
        try:
            yield
        except Exception as error:
            reason = self._store.reason(error)
            if reason is None:
                raise
            raise LandingUnavailable(
                f"The landing zone {self.url} cannot be {done}: {reason}.",
                "Check LANDING_URL, that it exists, and the rights on it.",
            ) from error
