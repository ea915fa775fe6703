"""A Customer.io on this machine: the Track API, the App API, webhooks, faults to order, a page to look at.

For development and tests only; it shows personal data to whoever can reach it, so it binds to loopback.
Start it with `run_sandbox`, or in a process of its own with `SandboxServer`.
"""

from cio_pipelines.sandbox.options import SandboxError, SandboxOptions
from cio_pipelines.sandbox.process import SandboxServer
from cio_pipelines.sandbox.server import run_sandbox

__all__ = ["SandboxError", "SandboxOptions", "SandboxServer", "run_sandbox"]
