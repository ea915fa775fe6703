"""What was seen of folders, some pages of a listing at a time: work and memory of a look are bounded.

Objects of a bucket are listed by name, from any name on. Names mostly grow with time, so that what is new
comes last: a look goes on where the one before ended. What came late, before that place, only another look
from the beginning finds; both add up to the same digest when they saw the same objects.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec

from cio_pipelines.landing.stores import LandedObject
from cio_pipelines.landing.zone import LandingZone

PAGE = 1_000
"""Objects that one request lists; what looking may cost is said in requests."""

_DIGESTS = 2**128


class Look(msgspec.Struct, frozen=True):
    """What was seen: all up to the name `last`; how many objects, and the sum of their digests."""

    last: str = ""
    count: int = 0
    digest: str = "0"

    def with_objects(self, objects: Iterable[LandedObject]) -> Look:
        """This look and more objects, whose order does not matter; `last` stays."""
        count, digest = self.count, int(self.digest, 16)
        for item in objects:
            count += 1
            text = f"{item.path}\n{item.size}\n{item.generation}"
            digest += int.from_bytes(hashlib.sha256(text.encode()).digest()[:16])
        return Look(self.last, count, f"{digest % _DIGESTS:x}")

    def up_to(self, page: list[LandedObject]) -> Look:
        """This look, ended with a page."""
        return msgspec.structs.replace(self, last=page[-1].path.rpartition("/")[2]) if page else self


def fingerprint(looks: Iterable[Look]) -> str:
    """Sixteen hex digits that change when an object is added, removed or written anew."""
    seen = sorted((look.count, look.digest) for look in looks if look.count)
    return hashlib.sha256(repr(seen).encode()).hexdigest()[:16]


def pages(zone: LandingZone, folder: str, after: str, most: int) -> Iterator[list[LandedObject]]:
    """What comes after a name in a folder, in at most so many pages; the last of all is not a full one.

    Raises LandingUnavailable.
    """
    found = zone.objects(folder, after=after, limit=most * PAGE)
    for _ in range(most):
        page = list(islice(found, PAGE))
        yield page
        if len(page) < PAGE:
            return
