"""How lines and bodies lie in Redis."""

from __future__ import annotations

import hashlib


def line_hash(order_key: str) -> str:
    """What stands for a line in names of keys, which turn up in logs and dashboards of the server."""
    return hashlib.blake2b(order_key.encode(), digest_size=12).hexdigest()


def write_value(order_key: str, body: bytes) -> bytes:
    """Line and body in one: the length of the line in four bytes, the line in UTF-8, the body."""
    line = order_key.encode()
    return b"%b%b%b" % (len(line).to_bytes(4), line, body)


def read_value(value: bytes) -> tuple[str, bytes]:
    """What `write_value` wrote."""
    end = 4 + int.from_bytes(value[:4])
    return value[4:end].decode(), value[end:]
