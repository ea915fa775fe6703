"""Statements as they were read and found good, one file each beside the test that compares them.

To accept a change, read it, then run the test with GOLDEN=write.
"""

from __future__ import annotations

import os
from pathlib import Path

import sqlglot


def assert_golden(path: Path, statement: str) -> None:
    """The statement is the one in the file, but for white space."""
    text = sqlglot.parse_one(statement, dialect="bigquery").sql(dialect="bigquery", pretty=True) + "\n"
    if os.environ.get("GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), f"{path.name} was another statement before"
