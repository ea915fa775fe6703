"""The infrastructure as it is, and copies of it in which one thing is changed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.infrastructure.provider_schema import ENVIRONMENT, ROOT
from tests.infrastructure.tree import Body, read_tree

TERRAFORM = ROOT / "terraform"

Change = tuple[str, str, str]
"""File below `terraform`, what stands there once, and what is to stand there."""


@pytest.fixture(scope="session")
def bodies() -> dict[str, Body]:
    """The tree of the repository."""
    assert (ENVIRONMENT / "bin" / "checkov").exists(), "run `make infrastructure`"
    return read_tree(TERRAFORM)


@pytest.fixture
def changed(tmp_path: Path) -> Callable[[Change], dict[str, Body]]:
    """A copy of the tree with one change."""

    def change(wanted: Change) -> dict[str, Body]:
        name, old, new = wanted
        copy = tmp_path / "terraform"
        shutil.copytree(TERRAFORM, copy)
        path = copy / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {name}"
        path.write_text(text.replace(old, new), encoding="utf-8")
        return read_tree(copy)

    return change
