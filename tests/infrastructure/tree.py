"""Terraform's files as values: strings without quotes, blocks told from maps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import hcl2


class Block(dict[str, Any]):
    """What stands in braces without an equals sign; a map is a plain dict."""


@dataclass
class Body:
    """All files of one folder."""

    resources: dict[tuple[str, str], Block] = field(default_factory=dict)
    variables: dict[str, Block] = field(default_factory=dict)
    outputs: dict[str, Block] = field(default_factory=dict)
    modules: dict[str, Block] = field(default_factory=dict)
    locals: dict[str, Any] = field(default_factory=dict)
    settings: list[Block] = field(default_factory=list)
    text: str = ""
    """The files without comments."""


def read_tree(root: Path) -> dict[str, Body]:
    """Folder below `root` to what it holds, for every folder with files of Terraform."""
    bodies: dict[str, Body] = {}
    for path in sorted(root.rglob("*.tf")):
        body = bodies.setdefault(path.parent.relative_to(root).as_posix(), Body())
        text = path.read_text(encoding="utf-8")
        body.text += re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE) + "\n"
        _add(body, _plain(_parsed(text)))
    return bodies


def resources(bodies: Mapping[str, Body], kind: str) -> Iterator[tuple[str, Block]]:
    """Where it is, and the resource, for all resources of a kind."""
    for folder, body in bodies.items():
        for (type_, name), block in body.resources.items():
            if type_ == kind:
                yield f"{folder}: {type_}.{name}", block


@cache
def _parsed(text: str) -> dict[str, Any]:
    # a copy with one change is parsed in one file only: each takes a tenth of a second
    return hcl2.loads(text + "\n")


def _add(body: Body, read: Mapping[str, Any]) -> None:
    for labelled in read.get("resource", []):
        for type_, named in labelled.items():
            for name, block in named.items():
                body.resources[type_, name] = block
    for kind, held in (("variable", body.variables), ("output", body.outputs), ("module", body.modules)):
        for labelled in read.get(kind, []):
            held.update(labelled)
    for block in read.get("locals", []):
        body.locals.update(block)
    body.settings += read.get("terraform", [])
    others = set(read) - {"resource", "variable", "output", "module", "locals", "terraform", "provider"}
    assert not others, f"nothing here looks at {others}"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        told = {_unquoted(key): _plain(held) for key, held in value.items() if not key.startswith("__")}
        return Block(told) if value.get("__is_block__") else told
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return _unquoted(value) if isinstance(value, str) else value


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return text
