"""Personal data and secrets where none may be: in what a test's code printed or logged.

Addresses of the tests and the demo are of `example.com` and its like, and their credentials are those below;
none of them belongs into an output, a log or a message, whatever a test is about.
"""

from __future__ import annotations

import re
from pathlib import Path

PERSONAL = re.compile(r"[\w.+%-]+@(?:[\w-]+\.)*example\.(?:com|org|net)|[\w.+%-]+@[\w-]+\.example\b")
SECRETS = ("sandbox-key", "sandbox-app-key", "sandbox-signing-key")


def leaks(text: str) -> set[str]:
    """What in a text should not be there."""
    return {*PERSONAL.findall(text), *(secret for secret in SECRETS if secret in text)}


def leaks_below(folder: Path) -> dict[str, set[str]]:
    """File → what in it should not be there, of all files of a folder, databases among them."""
    texts = {path: path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file()}
    return {str(path.relative_to(folder)): found for path, text in texts.items() if (found := leaks(text))}
