"""How the project names itself to Customer.io."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

_DISTRIBUTION = "cio-pipelines"


def user_agent() -> str:
    """Value of the User-Agent header; the version is `source` when the project is not installed."""
    try:
        number = version(_DISTRIBUTION)
    except PackageNotFoundError:
        number = "source"
    return f"{_DISTRIBUTION}/{number}"
