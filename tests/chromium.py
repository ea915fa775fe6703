"""Chromium without a window, which talks to nobody but the page's own server."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium on PATH")


def browser(profile: Path, *arguments: str) -> list[str]:
    """A command line; the profile is a folder of the test's own."""
    return [
        BROWSER or "",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={profile}",
        *arguments,
    ]
