"""One `dbt build` as a step of a Dagster run: what it made, what its tests found, and why it failed.

DuckDB lets one process at a time in. Everything about the tables is therefore read after dbt has ended, over
one short connection, and the results of all models are given to Dagster together.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO

import dagster as dg

from cio_pipelines.dbt import DbtResource, DbtTranslator
from cio_pipelines.dbt_tables import missing_sources, table_metadata
from cio_pipelines.settings import SettingsError
from cio_pipelines.warehouse import WarehouseError
from cio_pipelines.webhooks.tables import prepare_webhooks

BuildEvent = dg.MaterializeResult[Any] | dg.AssetCheckResult | dg.AssetObservation

BUILD = ["build", "--exclude-resource-type", "unit_test"]
"""Unit tests show that the SQL is right, not that the data is: they belong in the test suite."""

# DuckDB's errors about names and files quote no value; all others may, and are cut
_MAY_QUOTE_A_VALUE = re.compile(
    r"\b(?!Catalog|Binder|Parser|IO|Runtime|Compilation|Database|Parsing)(\w+(?: \w+)?) Error: .*", re.DOTALL
)
# PostgreSQL and BigQuery do not say of what kind an error is: of these the first line quotes no value
_DATABASE_ERROR = re.compile(r"(Database Error(?: in [^\n]*)?\n\s*)(.+)", re.DOTALL)
_QUOTES_NO_VALUE = re.compile(
    # names, rights and connections
    r"[^'\n]* does not exist|permission denied|must be owner|connection to server|FATAL:|Not found: "
    r"|Access Denied: |Unrecognized name: |Name \w+ not found inside|syntax error|No matching signature"
    # limits
    r"|deadlock detected|canceling statement|out of memory|could not (?:extend|write)|Quota exceeded"
    r"|Exceeded rate limits|Resources exceeded|Query exceeded limit|Too many partitions"
    # constraints; PostgreSQL quotes the row below
    r"|null value in column|duplicate key value violates|Required field|UPDATE/MERGE must match",
    re.IGNORECASE,
)
_COLUMN = re.compile(r"source column (\w+)|constraint failed: ([\w.]+)")


def build(
    context: dg.AssetExecutionContext, dbt: DbtResource, manifest: Mapping[str, Any]
) -> Iterator[BuildEvent]:
    """Builds and tests what the run selects of the dbt project.

    Yields a result for every model that was built and every test that ran, also when others failed.

    Args:
        context: of the step.
        dbt: the resource.
        manifest: dbt's, as the assets were made from it.

    Raises:
        dagster.Failure: a source table or column is missing, a model could not be built, or a test of
            severity error failed. The message names each of them and quotes no row.
    """
    _demand_sources(dbt, _sources_of(context.selected_asset_keys, manifest))
    with TemporaryDirectory(prefix="dbt-") as folder:
        invocation = dbt.cli(BUILD, context=context, target_path=Path(folder), raise_on_error=False)
        with contextlib.redirect_stdout(_WithoutValues(sys.stdout)):
            events = list(invocation.stream())
        built = _artifact(Path(folder), "manifest.json")
        results = _artifact(Path(folder), "run_results.json").get("results", [])
        succeeded = invocation.is_successful()
    yield from _described(context, events, dbt, built)
    if not succeeded:
        raise dg.Failure(description=_why(results, built), allow_retries=False)


def without_values(message: str) -> str:
    """The message of an error, cut where it may quote a value of a row; the column stays when it is named."""

    def cut(found: re.Match[str]) -> str:
        column = _COLUMN.search(found.group())
        where = f" in column {column.group(1) or column.group(2)}" if column else ""
        return f"{found.group(1)} Error{where} (its text is not shown: it may quote a person's data)"

    return _MAY_QUOTE_A_VALUE.sub(cut, _DATABASE_ERROR.sub(_first_line, message))


def _first_line(found: re.Match[str]) -> str:
    """What a database says, when it is known to quote no value; DuckDB's errors have kinds and are left."""
    first = found.group(2).splitlines()[0].rstrip()
    if _MAY_QUOTE_A_VALUE.match(first) or re.match(r"\w+(?: \w+)? Error: ", first):
        return found.group()
    if not _QUOTES_NO_VALUE.match(first):
        first = "The database's message is not shown: it may quote a person's data"
    return found.group(1) + first


def _sources_of(selected: AbstractSet[dg.AssetKey], manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The sources that a selection of models is made from, however far back."""
    key_of, nodes = DbtTranslator().get_asset_key, manifest["nodes"]
    made = {name: node for name, node in nodes.items() if node["resource_type"] in ("model", "snapshot")}
    pending = [name for name, node in made.items() if key_of(node) in selected]
    seen = set(pending)
    while pending:
        parents = set(manifest["parent_map"][pending.pop()]) - seen
        seen |= parents
        pending += [parent for parent in parents if parent in nodes]
    return [source for unique_id, source in manifest["sources"].items() if unique_id in seen]


def _demand_sources(dbt: DbtResource, sources: Sequence[Mapping[str, Any]]) -> None:
    try:
        warehouse = dbt.warehouse()
        with warehouse.session(), warehouse.connect() as connection:
            # nothing was reported yet: an empty table, not a missing one
            prepare_webhooks(connection)
            missing = missing_sources(warehouse, sources)
    except (SettingsError, WarehouseError) as error:
        raise dg.Failure(description=str(error), allow_retries=False) from None
    if missing:
        raise dg.Failure(
            description=(
                f"The {warehouse.name} lacks {', '.join(missing)}. Load the application's tables there, or "
                "point WAREHOUSE_URL at the database that has them."
            ),
            allow_retries=False,
        )


def _described(
    context: dg.AssetExecutionContext, events: list[Any], dbt: DbtResource, manifest: Mapping[str, Any]
) -> Iterator[BuildEvent]:
    """The events with what people want to know; a table that cannot be read is no reason to lose a result."""
    tables: Mapping[str, Mapping[str, Any]] = {}
    try:
        models = [_unique_id(event) for event in events if isinstance(event, dg.Output)]
        tables = table_metadata(dbt.warehouse(), manifest, models)
    except WarehouseError as error:
        context.log.warning(f"Rows and columns of the models are not known: {error}")
    for event in events:
        if isinstance(event, dg.Output):
            yield dg.MaterializeResult(
                asset_key=context.asset_key_for_output(event.output_name),
                metadata={**event.metadata, **tables.get(_unique_id(event), {})},
            )
        elif isinstance(event, dg.AssetCheckResult) and not event.passed:
            failures = event.metadata.get("dagster_dbt/failed_row_count")
            yield dg.AssetCheckResult(
                passed=False,
                asset_key=event.asset_key,
                check_name=event.check_name,
                severity=event.severity,
                metadata=event.metadata,
                description=_finding(manifest, _unique_id(event), failures.value if failures else None),
            )
        else:
            yield event


def _unique_id(event: dg.Output[Any] | dg.AssetCheckResult) -> str:
    return str(event.metadata["unique_id"].value)


def _why(results: list[dict[str, Any]], manifest: Mapping[str, Any]) -> str:
    broken = [result for result in results if result["status"] in ("error", "fail", "runtime error")]
    if not broken:
        return "dbt ended before it built anything: its output is in the step's log."
    faults: list[str] = []
    for result in broken:
        unique_id = result["unique_id"]
        if result["status"] == "fail":
            told = _finding(manifest, unique_id, result["failures"])
        else:
            told = _error(result["message"])
        node = manifest["nodes"][unique_id]
        faults.append(f"- {node['resource_type']} {node['name']}: {told}")
    return "\n".join(["dbt stopped, and nothing that depends on these was built:", *faults])


def _finding(manifest: Mapping[str, Any], unique_id: str, failures: Any) -> str:
    """What a failed test found, for people: the table, the column and how many, never a value."""
    test = manifest["nodes"][unique_id]
    parent = test["attached_node"] or test["depends_on"]["nodes"][0]
    table = manifest["nodes"].get(parent) or manifest["sources"][parent]
    where = ".".join(filter(None, [table["schema"], table["name"], test.get("column_name")]))
    if failures is None:
        return f"{where} could not be looked at."
    kinds = {"unique": "values occur more than once", "not_null": "rows are NULL"}
    kind = kinds.get((test.get("test_metadata") or {}).get("name", ""), "rows do not hold to it")
    return f"{failures} {kind} in {where}."


def _error(message: str | None) -> str:
    # the first line, which repeats the name, also says what may quote values: it goes last
    text = without_values(message or "no message")
    text = re.sub(r"^(?:Runtime|Database|Compilation) Error in .*\n\s*", "", text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[:2])


def _artifact(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


class _WithoutValues(io.TextIOBase):
    """Passes on what dbt prints; dagster-dbt hands over one whole message at a time."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, text: str, /) -> int:
        shown = without_values(text)
        self._out.write(shown if shown.endswith("\n") or not text.endswith("\n") else shown + "\n")
        return len(text)

    def flush(self) -> None:
        self._out.flush()
