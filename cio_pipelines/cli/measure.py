"""What every benchmark tells of itself: the machine, and the most memory a process held."""

from __future__ import annotations

import os
import platform
import resource
import sys

import psutil


def this_machine() -> str:
    """Cores, memory and Python, for the head of a benchmark's table."""
    memory = psutil.virtual_memory().total / 1e9
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), {memory:.0f} GB, Python {platform.python_version()}"
    )


def peak_rss_mb() -> float:
    """Most memory that this process has held, in MB of 1,000,000 bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6
