"""What `terraform validate` would look at, as far as it can be seen without the provider."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.infrastructure.provider_schema import provider_schema
from tests.infrastructure.tree import Block, Body

_META = {"for_each", "count", "depends_on", "lifecycle", "provider"}
_CALL = {"source", *_META}
_WORD = r"([A-Za-z_][\w-]*)"


def arguments(bodies: Mapping[str, Body]) -> Iterator[str]:
    """Arguments that the provider does not know, or asks for; blocks that are none, and the reverse."""
    schema = provider_schema()
    for folder, body in bodies.items():
        for (type_, name), block in body.resources.items():
            if type_ not in schema.resources:
                yield f"{folder}: {type_} is no resource of the provider"
                continue
            for fault in _block(schema.resources[type_], block, _META):
                yield f"{folder}: {type_}.{name}: {fault}"


def _block(type_: str, block: Block, allowed: set[str]) -> Iterator[str]:
    known = provider_schema().types[type_]
    given = set(block) | {label for each in block.get("dynamic", []) for label in each}
    for name, value in block.items():
        if name == "dynamic":
            for each in value:
                for label, dynamic in each.items():
                    yield from _inside(known, label, dynamic["content"])
        elif name not in allowed:
            yield from _inside(known, name, value)
    for name, argument in known.items():
        if argument.required and name not in given:
            yield f"{name} is missing"


def _inside(known: Mapping[str, Any], name: str, value: Any) -> Iterator[str]:
    if name not in known:
        yield f"{name} is unknown"
        return
    held = known[name].block
    blocks = [each for each in value if isinstance(each, Block)] if isinstance(value, list) else []
    if bool(blocks) != bool(held):
        yield f"{name} is {'a block' if held else 'no block'}"
        return
    for each in blocks:
        for fault in _block(held, each, set()):
            yield f"{name}: {fault}"


def references(bodies: Mapping[str, Body]) -> Iterator[str]:
    """Names that nothing bears, variables that nobody gives, and variables that nobody uses."""
    for folder, body in bodies.items():
        names = {
            "var": set(body.variables),
            "local": set(body.locals),
            "module": set(body.modules),
        }
        for kind, held in names.items():
            for used in set(re.findall(rf"\b{kind}\.{_WORD}", body.text)) - held:
                yield f"{folder}: {kind}.{used} is not declared"
        used_variables = set(
            re.findall(rf"\bvar\.{_WORD}", re.sub(r"validation \{.*?\n  \}", "", body.text, flags=re.S))
        )
        for name in names["var"] - used_variables:
            yield f"{folder}: variable {name} is not used"
        for type_, name in set(re.findall(rf"\b(google_\w+)\.{_WORD}", body.text)):
            if (type_, name) not in body.resources:
                yield f"{folder}: {type_}.{name} is not there"
        yield from _calls(folder, body, bodies)


def _calls(folder: str, body: Body, bodies: Mapping[str, Body]) -> Iterator[str]:
    for name, call in body.modules.items():
        called = "modules/" + call["source"].rpartition("/")[2]
        if not call["source"].startswith("../") or called not in bodies:
            yield f"{folder}: module {name} is not in this repository"
            continue
        declared = bodies[called].variables
        for unknown in set(call) - _CALL - set(declared):
            yield f"{folder}: module {name} has no variable {unknown}"
        for variable, block in declared.items():
            if variable not in call and "default" not in block:
                yield f"{folder}: module {name} lacks {variable}"
        outputs = set(re.findall(rf"\bmodule\.{name}\.{_WORD}", body.text))
        for unknown in outputs - set(bodies[called].outputs):
            yield f"{folder}: module {name} has no output {unknown}"


def descriptions(bodies: Mapping[str, Body]) -> Iterator[str]:
    """Variables and outputs that say nothing."""
    for folder, body in bodies.items():
        for name, block in body.variables.items():
            if not block.get("description") or "type" not in block:
                yield f"{folder}: variable {name} has no description or type"
        for name, block in body.outputs.items():
            if not block.get("description"):
                yield f"{folder}: output {name} has no description"


def versions(bodies: Mapping[str, Body]) -> Iterator[str]:
    """Versions that are not pinned where Terraform is run, or not the ones that were looked at."""
    for folder, body in bodies.items():
        required = [block for block in body.settings if "required_version" in block]
        if not required:
            yield f"{folder}: no version of Terraform is asked for"
            continue
        if folder.startswith("environments/"):
            (providers,) = required[0]["required_providers"]
            if providers["google"]["version"] != provider_schema().version:
                yield f"{folder}: the provider is not pinned to {provider_schema().version}"
            if set(providers) != {"google"}:
                yield f"{folder}: another provider, whose schema nobody looked at"
            (backend,) = required[0].get("backend", [{}])
            if set(backend) != {"gcs"} or backend["gcs"].get("prefix") != f"cio-pipelines/{folder[13:]}":
                yield f"{folder}: state is not in a bucket, under the environment's own name"
