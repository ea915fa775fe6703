"""The Dockerfile as instructions by stage."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

from tests.infrastructure.provider_schema import ROOT

DOCKERFILE = ROOT / "Dockerfile"


@dataclass
class Stage:
    """`base` is an image or another stage; `steps` are (instruction, rest)."""

    name: str
    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        return [rest for name, rest in self.steps if name == instruction]


def read_stages(path: Path = DOCKERFILE) -> dict[str, Stage]:
    """By name, in their order."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    stages: dict[str, Stage] = {}
    stage: Stage | None = None
    for line in re.sub(r"\\\n", " ", text).splitlines():
        name, _, rest = line.strip().partition(" ")
        if name == "FROM":
            base, _, own = rest.partition(" AS ")
            stage = stages.setdefault(own, Stage(own, base))
        elif stage is not None and name:
            stage.steps.append((name, rest.strip()))
    return stages


def variables(stage: Stage) -> dict[str, str]:
    """What ENV and the defaults of ARG set in a stage."""
    found: dict[str, str] = {}
    for instruction, rest in stage.steps:
        if instruction in ("ENV", "ARG"):
            found |= dict(part.split("=", 1) for part in shlex.split(rest) if "=" in part)
    return found
