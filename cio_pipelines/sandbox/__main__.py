"""`python -m cio_pipelines.sandbox`: the sandbox by command flags, one for each setting of SandboxOptions."""

from __future__ import annotations

import argparse
import sys
import types
import typing
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

import msgspec

from cio_pipelines.sandbox.faults import parse_flag
from cio_pipelines.sandbox.options import SandboxError, SandboxOptions
from cio_pipelines.sandbox.server import run_sandbox

_FROM_STDIN = "--options-from-stdin"


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop. Exit code 2, with the reason on stderr, when it cannot start."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        if given == [_FROM_STDIN]:
            run_sandbox(_from_stdin(), leash=sys.stdin.fileno())
        else:
            run_sandbox(options_from_flags(given))
    except SandboxError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _from_stdin() -> SandboxOptions:
    """One line of JSON, so that no key shows in the list of processes."""
    settings = cast("dict[str, Any]", msgspec.json.decode(sys.stdin.readline()))
    for name in ("database", "ca_file"):
        if settings[name] is not None:
            settings[name] = Path(settings[name])
    return SandboxOptions(**settings)


def options_from_flags(arguments: list[str]) -> SandboxOptions:
    """Settings from command flags. Raises SandboxError, or SystemExit for flags that argparse refuses."""
    parser = argparse.ArgumentParser(
        prog="python -m cio_pipelines.sandbox",
        description="A local Customer.io for development and tests. It shows people to whoever reaches it.",
    )
    hints = typing.get_type_hints(SandboxOptions)
    for item in fields(SandboxOptions):
        if item.name == "faults":
            continue
        flag = f"--{item.name.replace('_', '-')}"
        kind: Any = hints[item.name]
        if kind is bool:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=item.default)
        elif typing.get_origin(kind) is typing.Literal:
            choices: tuple[Any, ...] = typing.get_args(kind)
            parser.add_argument(
                flag, type=int if isinstance(choices[0], int) else str, choices=choices, default=item.default
            )
        else:
            if typing.get_origin(kind) in (typing.Union, types.UnionType):
                kind = next(part for part in typing.get_args(kind) if part is not types.NoneType)
            parser.add_argument(flag, type=kind, default=item.default)
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="KIND,NAME=VALUE,…",
        help="such as status,status=429,every=3",
    )
    settings = vars(parser.parse_args(arguments))
    faults = tuple(parse_flag(text) for text in settings.pop("fault"))
    return SandboxOptions(**settings, faults=faults)


if __name__ == "__main__":
    sys.exit(main())
