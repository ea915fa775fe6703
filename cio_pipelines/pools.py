"""Dagster's pools: which runs wait for each other.

A DuckDB file lets one process in at a time, so with the embedded warehouse all that write to it share a pool.
Elsewhere only what would get into its own way does.
"""

from __future__ import annotations

from cio_pipelines.settings import load_settings


def _pool(name: str) -> str:
    return "warehouse" if load_settings().is_embedded else name


PEOPLE = _pool("customerio_people")
"""Pushes of people, which hold the lease of the workspace."""

EVENTS = _pool("customerio_events")
"""Pushes of events."""

DBT = _pool("dbt")
"""Builds of the dbt project, which replace its tables."""

WEBHOOKS = _pool("customerio_webhooks")
"""Loads of reported events."""

EXPORTS = _pool("customerio_exports")
"""Loads of storage exports."""

BROADCASTS = _pool("customerio_broadcasts")
"""Triggers of broadcasts, of which Customer.io takes one every ten seconds."""
