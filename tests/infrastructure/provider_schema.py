"""Arguments and blocks of the Google provider's resources, from a package that carries its schema.

The package is for another tool, which has been retired; it holds the whole schema of one release of the
provider, and a package index has no other copy. Types of values and arguments that exclude each other are
not told.
"""

from __future__ import annotations

import json
import os
import re
import tarfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / ".venvs" / "infrastructure"
_ADDRESS = re.compile(r"/google/(?P<version>[\d.]+)/docs/resources/(?P<resource>\w+)#(?P<argument>\w+) ")
_READ = "google-schema.json"


class Argument(NamedTuple):
    """One name inside a resource or block; `block` is the type of what it holds, None for a value."""

    required: bool
    block: str | None


class Schema(NamedTuple):
    """`version` of the provider; `resources` name their type, `types` hold their arguments."""

    version: str
    resources: Mapping[str, str]
    types: Mapping[str, Mapping[str, Argument]]


@cache
def provider_schema() -> Schema:
    """The schema; what took seconds to read is kept beside the package."""
    (archive,) = ENVIRONMENT.glob("lib/python*/site-packages/cdktf_cdktf_provider_google/_jsii/*.tgz")
    kept = archive.parent / _READ
    if not kept.exists():
        # whole or not at all: two processes may be at it
        unfinished = kept.with_suffix(f".{os.getpid()}")
        unfinished.write_text(json.dumps(_read(archive)), encoding="utf-8")
        unfinished.rename(kept)
    version, resources, types = json.loads(kept.read_text(encoding="utf-8"))
    return Schema(
        version,
        resources,
        {name: {each: Argument(*told) for each, told in held.items()} for name, held in types.items()},
    )


def _read(archive: Path) -> tuple[str, dict[str, str], dict[str, Any]]:
    with tarfile.open(archive) as packed:
        described = packed.extractfile("package/.jsii")
        assert described is not None
        assembly = json.load(described)
    version, resources, types = "", dict[str, str](), dict[str, Any]()
    for name, held in assembly["types"].items():
        arguments: dict[str, Argument] = {}
        for each in held.get("properties", []) if held["kind"] == "interface" else []:
            summary = each["docs"].get("summary", "")
            # it stands in one of several places, by what else is told of the argument
            address = _ADDRESS.search(json.dumps(each["docs"]))
            if address is None:
                continue
            version = address["version"]
            block = summary.endswith(" block.")
            arguments[address["argument"]] = Argument(
                not each.get("optional", False), _own_type(each["type"]) if block else None
            )
            if "cdktf.TerraformMetaArguments" in held.get("interfaces", []):
                resources["google_" + address["resource"]] = name
        types[name] = arguments
    return version, resources, types


def _own_type(described: Any) -> str | None:
    """The first of the provider's own types that a described type names, however deep."""
    if isinstance(described, dict):
        fqn = described.get("fqn", "")
        if fqn.startswith("@cdktf/provider-google."):
            return fqn
        described = list(described.values())
    if isinstance(described, list):
        return next((found for each in described if (found := _own_type(each))), None)
    return None
