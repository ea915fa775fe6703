"""Fail when a committed file names a package registry, or a folder of the machine it was written on.

Locks must install from whatever registry a machine is configured with, and a path of one machine is wrong
on every other.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

FORBIDDEN = {
    # written so that this file does not name what it looks for
    "a package registry": re.compile(r"\b(?:py[p]i\.(?:org|io|python)|python[h]osted|registry\.n[p]mjs)"),
    "an index option": re.compile(r"^\s*--(?:extra-)?ind[e]x-url|^\s*--find-l[i]nks", re.MULTILINE),
    "a path of a machine": re.compile(r"(?<![\w.~$}-])/(?:ro[o]t|ho[m]e|Us[e]rs|wo[r]k)/[\w.]"),
}


def main() -> int:
    listed = subprocess.run(["git", "ls-files", "-z"], stdout=subprocess.PIPE, check=True)
    faults = 0
    for path in filter(None, listed.stdout.decode().split("\0")):
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue  # deleted, or no text
        for what, pattern in FORBIDDEN.items():
            for found in pattern.finditer(text):
                line = text.count("\n", 0, found.start()) + 1
                print(f"{path}:{line}: names {what}: {found.group().strip()}")
                faults += 1
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
