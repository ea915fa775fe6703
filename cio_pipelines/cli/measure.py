"""What every benchmark tells of itself: the machine, and the most memory a process held."""

from __future__ import annotations

import os
import platform
import resource
import sys
from pathlib import Path

import psutil


def this_machine() -> str:
    """Cores, memory and Python, for the head of a benchmark's table."""
    memory = psutil.virtual_memory().total / 1e9
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), {memory:.0f} GB, Python {platform.python_version()}"
    )


def peak_rss_mb() -> float:
    """Most memory that this process has held, in MB of 1,000,000 bytes."""
    if sys.platform == "linux":
        # not getrusage's: it begins with the peak of the process that started this one
        with Path("/proc/self/status").open() as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6
