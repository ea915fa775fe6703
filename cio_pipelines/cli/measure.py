"""What every benchmark tells of itself: the machine, and the most memory a process held."""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import typer


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


def apart(module: str, function: str, environment: Mapping[str, str], **arguments: object) -> dict[str, Any]:
    """Call a function in a process of its own, so that its peak of memory is its own.

    It ends with a line of JSON on standard output, which is returned. Exits with 1 when it fails, after it
    said on standard error why.
    """
    given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    done = subprocess.run(  # noqa: S603  # this Python, a module of ours
        [sys.executable, "-c", f"from {module} import {function}; {function}({given})"],
        env={**environment},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise typer.Exit(1)
    return json.loads(done.stdout.splitlines()[-1])
