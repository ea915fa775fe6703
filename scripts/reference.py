"""Write docs/reference from the code: commands, assets, tables, errors.

    python scripts/reference.py

The pages are made anew whenever the docs are built, and not kept: what the code says cannot be old.
"""

from __future__ import annotations

import html
import importlib
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "reference"
ERRORS = {
    "cio_pipelines.customerio.errors": "Between this project and Customer.io",
    "cio_pipelines.warehouse.errors": "The warehouse",
    "cio_pipelines.sync.errors": "The syncs",
    "cio_pipelines.landing.errors": "The landing zone",
    "cio_pipelines.messaging.queue.errors": "The queue",
    "cio_pipelines.broadcasts.errors": "Broadcasts",
}
TABLES = {
    "cio_pipelines.sync.state": "What the syncs remember",
    "cio_pipelines.webhooks.tables": "What was reported",
    "cio_pipelines.broadcasts.state": "Broadcasts",
}


def main() -> int:
    pages = {"commands.md": commands, "assets.md": assets, "tables.md": tables, "errors.md": errors}
    TARGET.mkdir(exist_ok=True)
    for name, page in pages.items():
        (TARGET / name).write_text(page().strip() + "\n", encoding="utf-8")
    return 0


def commands() -> str:
    """What `--help` says of every command."""
    done = subprocess.run(
        [Path(sys.executable).with_name("typer"), "cio_pipelines.cli.main", "utils", "docs", "--name", "cio"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "NO_COLOR": "1", "TERMINAL_WIDTH": "100"},
    )
    text = html.unescape(done.stdout).replace(str(ROOT), "…")
    return text.replace("# `cio`", "# Commands", 1)


def assets() -> str:
    """Every asset with what it is made from, and its checks; then jobs, schedules and sensors."""
    definitions: dg.Definitions = importlib.import_module("cio_pipelines.definitions").defs()
    graph = definitions.resolve_asset_graph()
    lines = ["# Assets", "", "What the Dagster UI shows, in words.", ""]
    for group in sorted({graph.get(key).group_name or "" for key in graph.get_all_asset_keys()}):
        lines += [f"## {group}", ""]
        for key in sorted(graph.get_all_asset_keys(), key=dg.AssetKey.to_user_string):
            node = graph.get(key)
            if node.group_name == group:
                lines += [*_asset(graph, node), ""]
    lines += ["## Jobs, schedules and sensors", ""]
    repository = definitions.get_repository_def()
    for job in sorted(definitions.resolve_all_job_defs(), key=lambda job: job.name):
        if job.description:
            lines.append(f"- job `{job.name}`: {_one_line(job.description)}")
    for schedule in sorted(repository.schedule_defs, key=lambda schedule: schedule.name):
        lines.append(
            f"- schedule `{schedule.name}` (`{schedule.cron_schedule}`): {_one_line(schedule.description)}"
        )
    for sensor in sorted(repository.sensor_defs, key=lambda sensor: sensor.name):
        lines.append(f"- sensor `{sensor.name}`: {_one_line(sensor.description)}")
    return "\n".join(lines)


def _asset(graph: Any, node: Any) -> Iterator[str]:
    yield f"### {node.key.to_user_string()}"
    yield ""
    yield _one_line(node.description)
    yield ""
    if parents := sorted(key.to_user_string() for key in node.parent_keys):
        yield f"- from: {', '.join(f'`{name}`' for name in parents)}"
    if node.partitions_def is not None:
        kind = type(node.partitions_def).__name__.removesuffix("PartitionsDefinition")
        yield f"- partitions: {kind.lower()}"
    yield f"- kinds: {', '.join(sorted(node.kinds))}; owners: {', '.join(sorted(node.owners))}"
    checks = sorted(
        (key for key in graph.asset_check_keys if key.asset_key == node.key), key=lambda key: key.name
    )
    for key in checks:
        check = graph.get(key)
        blocking = ", blocking" if check.blocking else ""
        yield f"- check `{key.name}`{blocking}: {_one_line(check.description)}"


def tables() -> str:
    """Tables that the project makes in the warehouse."""
    lines = [
        "# Tables",
        "",
        "What the project makes in your warehouse beside dbt's models, of which dbt's docs tell.",
        "",
    ]
    for module, title in TABLES.items():
        found: dict[str, sa.Table] = {}
        for value in vars(importlib.import_module(module)).values():
            if isinstance(value, sa.Table) and value.schema is not None:
                found[value.fullname] = value
        lines += [f"## {title}", ""]
        for name, table in sorted(found.items()):
            lines += [f"### {name}", "", *([table.comment, ""] if table.comment else [])]
            lines += ["| column | type | |", "|---|---|---|"]
            for column in table.columns:
                kind = str(column.type.compile()).lower()
                lines.append(f"| `{column.name}` | {kind} | {column.comment or ''} |")
            lines.append("")
    return "\n".join(lines)


def errors() -> str:
    """The trees that the docstrings draw, and what each error is."""
    lines = ["# Errors", "", "Every error carries what happened, which thing, and what to do next.", ""]
    for module, title in ERRORS.items():
        loaded = importlib.import_module(module)
        lines += [f"## {title}", "", "```text", inspect.getdoc(loaded) or "", "```", ""]
        for name, value in vars(loaded).items():
            if inspect.isclass(value) and issubclass(value, Exception) and value.__module__ == module:
                lines.append(f"- `{name}`: {_one_line(value.__doc__)}")
        lines.append("")
    return "\n".join(lines)


def _one_line(text: str | None) -> str:
    """The first paragraph, without line breaks."""
    return re.sub(r"\s+", " ", (text or "").strip().split("\n\n")[0])


if __name__ == "__main__":
    sys.exit(main())
