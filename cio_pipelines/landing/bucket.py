"""A bucket of Google Cloud Storage as a landing zone, through the official client.

The client repeats what failed on the way, also a write: as that is for a name that must be new, repeating it
writes nothing twice.
"""

# the client carries few types
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import requests
from google.api_core.exceptions import GoogleAPICallError, NotFound, PreconditionFailed, RetryError
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
from google.cloud import storage
from google.cloud.exceptions import GoogleCloudError
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from requests.adapters import HTTPAdapter

from cio_pipelines.landing.stores import Gone, LandedObject, NameTaken

PAGE = 1_000
"""Objects that one request lists: the most that Cloud Storage gives."""

_TRIAL = ".writable"
"""An empty object that is made once, to see whether objects can be."""

_THREADS = 64
"""Connections that are kept: the receiver writes from many threads."""

_RIGHT = re.compile(r"\bstorage\.\w+\.\w+\b")


class BucketStore:
    """Objects under a prefix of a bucket. Safe for use by several threads.

    Args:
        bucket: its name.
        prefix: begins the names of all objects; may be empty.
    """

    def __init__(self, bucket: str, prefix: str) -> None:
        self._name = bucket
        self._prefix = f"{prefix}/" if prefix else ""

    @cached_property
    def _bucket(self) -> storage.Bucket:
        # no call of ours needs a project
        client = storage.Client(project=None)
        session: Any = client._http  # pyright: ignore[reportPrivateUsage]
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter(pool_maxsize=_THREADS))
        return client.bucket(self._name)

    def create(self, path: str, data: bytes) -> None:
        blob = self._bucket.blob(self._prefix + path)
        try:
            blob.upload_from_string(data, content_type="application/octet-stream", if_generation_match=0)
        except PreconditionFailed:
            raise NameTaken from None

    def read(self, path: str, generation: int) -> bytes:
        try:
            return self._blob(path, generation).download_as_bytes(raw_download=True)
        except NotFound:
            raise Gone from None

    def chunks(self, path: str, generation: int, size: int) -> Iterator[bytes]:
        with self._blob(path, generation).open("rb", chunk_size=size, raw_download=True) as file:
            while True:
                try:
                    data: Any = file.read(size)
                except NotFound:
                    raise Gone from None
                if not data:
                    return
                yield data

    def folders(self, prefix: str) -> list[str]:
        start = self._folder(prefix)
        pages = self._bucket.list_blobs(
            prefix=start, delimiter="/", page_size=PAGE, fields="prefixes,nextPageToken"
        )
        for _ in pages.pages:
            pass
        return [name.removeprefix(start).rstrip("/") for name in pages.prefixes]

    def objects(self, prefix: str, after: str, limit: int | None) -> Iterator[LandedObject]:
        start = self._folder(prefix)
        # the offset itself is listed too, if it is there
        last = start + after
        found = self._bucket.list_blobs(
            prefix=start,
            delimiter="/",
            start_offset=last if after else None,
            page_size=PAGE if limit is None else min(PAGE, limit + 1),
            fields="items(name,size,generation),nextPageToken",
        )
        count = 0
        for blob in found:
            if count == limit:
                return
            name = str(blob.name)
            if (after and name == last) or name.removeprefix(start).startswith(".") or name == start:
                continue
            count += 1
            yield LandedObject(
                name.removeprefix(self._prefix), int(blob.size or 0), int(blob.generation or 0)
            )

    def check_writable(self) -> None:
        """Write an empty object that may be there already: it needs no right that `create` does not."""
        try:
            self.create(_TRIAL, b"")
        except NameTaken:
            return

    def reason(self, error: Exception) -> str | None:
        # messages of Google name accounts
        if isinstance(error, DefaultCredentialsError):
            return "there are no Google credentials"
        if isinstance(error, GoogleAPICallError):
            right = _RIGHT.search(str(error))
            lacks = f", the right {right[0]} is missing" if right and error.code == 403 else ""
            return f"Cloud Storage answered {error.code} {type(error).__name__}{lacks}"
        if isinstance(error, InvalidResponse):
            return f"Cloud Storage answered {error.response.status_code}"
        others = (GoogleCloudError, GoogleAuthError, RetryError, DataCorruption, requests.RequestException)
        return type(error).__name__ if isinstance(error, (*others, OSError)) else None

    def _folder(self, prefix: str) -> str:
        return f"{self._prefix}{prefix}/" if prefix else self._prefix

    def _blob(self, path: str, generation: int) -> storage.Blob:
        return self._bucket.blob(self._prefix + path, generation=generation or None)
