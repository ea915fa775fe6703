from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cio_pipelines.sandbox import SandboxServer
from tests.emulators import Emulator

from .limits import LIMITS
from .rig import ENGINES, EngineRig

_QUICK = ("test_protocol.py", "test_values.py::test_a_value", "test_values.py::test_what_json")
"""What is run on BigQuery's emulator by `make test` too; it takes a third of a second a statement."""

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE not in item.path.parents or not isinstance(item, pytest.Function):
            continue
        if not hasattr(item, "callspec") or "engine" not in item.callspec.params:
            continue
        engine = str(item.callspec.params["engine"])
        if engine == "bigquery" and not any(quick in item.nodeid for quick in _QUICK):
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(1_200))
        limit = LIMITS.get((engine, limited_name(item)))
        if limit is not None:
            skips = limit.kind == "lacks"
            item.add_marker(
                pytest.mark.skip(limit.reason)
                if skips
                else pytest.mark.xfail(reason=limit.reason, strict=True)
            )


def limited_name(item: pytest.Function) -> str:
    """The test's name without its engine."""
    name, bracket, rest = item.name.partition("[")
    cases = [case for case in rest.rstrip("]").split("-", 1) if case not in ENGINES] if bracket else []
    return f"{name}[{'-'.join(cases)}]" if cases else name


@pytest.fixture(params=ENGINES, scope="module")
def engine(request: pytest.FixtureRequest) -> str:
    """The name of an engine."""
    return request.param


@pytest.fixture(scope="module")
def engine_rig(
    engine: str,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    sandbox_process: SandboxServer,
) -> EngineRig:
    """A warehouse for the tests of a module; `rig` makes a workspace in it for each of them."""
    if engine == "duckdb":
        path = tmp_path_factory.mktemp("duckdb") / "warehouse.duckdb"
        return EngineRig(engine, f"duckdb:///{path}", sandbox_process)
    if engine == "postgresql":
        url = request.getfixturevalue("postgres_server").new_database()
        return EngineRig(engine, url, sandbox_process)
    emulator: Emulator = request.getfixturevalue("bigquery_emulator")
    project = request.module.__name__.rpartition(".")[2].replace("_", "-")
    return EngineRig(
        engine, f"bigquery://{project}/analytics?storage_api=false", sandbox_process, emulator.url
    )


@pytest.fixture
def rig(engine_rig: EngineRig, sandbox: SandboxServer) -> Iterator[EngineRig]:
    """A workspace of its own, and an empty sandbox without faults."""
    rig = EngineRig(engine_rig.engine_name, engine_rig.url, sandbox, engine_rig.endpoint)
    with rig.warehouse.session():
        yield rig
