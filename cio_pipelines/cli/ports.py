"""What listens on this machine."""

from __future__ import annotations

import socket

import httpx


def is_taken(port: int) -> bool:
    """Whether something listens at a port of this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def is_sandbox(url: str) -> bool:
    """Whether a sandbox of this project answers at an address."""
    try:
        answer = httpx.get(f"{url.rstrip('/')}/_sandbox/stats", trust_env=False, timeout=2)
    except (httpx.HTTPError, httpx.InvalidURL):
        return False
    return answer.status_code == 200 and "operations_by_action" in answer.text
