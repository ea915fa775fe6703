"""The demo company: users and orders as messy as life, made deterministically in a DuckDB file."""

from cio_pipelines.demo.changes import change, change_silently
from cio_pipelines.demo.company import DemoSummary, seed

__all__ = ["DemoSummary", "change", "change_silently", "seed"]
