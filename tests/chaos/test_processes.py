"""However a run's process, machine or warehouse fails, the promises hold."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cio_pipelines.sandbox import SandboxServer
from tests.sync.rig import Rig

from . import child
from .company import Company
from .matrix import BODIES_BEFORE, FLUSH, MERGE, MID, PLAN, Cell, process_cells
from .results import keep

HELD_SECONDS = 0.5
"""How long the sandbox keeps the answers back while the process is being hurt."""
CAPPED_FILE_BYTES = 4_096
FAST = {
    Cell("SIGKILL", FLUSH),
    Cell("SIGKILL", MERGE),
    Cell("SIGTERM", MID),
    Cell("full disk", FLUSH),
}
UNHURT = ("read-only warehouse", "locked warehouse", "two runs at once")
"""Faults that stop a run before it sends, or that do not stop it."""
_START = multiprocessing.get_context("forkserver")
_START.set_forkserver_preload(["tests.chaos.child"])


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that a process without root's rights can reach."""
    path = Path(tempfile.mkdtemp(prefix="chaos-"))
    path.chmod(0o777)
    yield path
    path.chmod(0o777)
    shutil.rmtree(path)


@pytest.fixture
def company(folder: Path, sandbox: SandboxServer) -> Company:
    company = Company(Rig(folder / "warehouse.duckdb", sandbox))
    company.found()
    (folder / "warehouse.duckdb").chmod(0o666)
    return company


class Child:
    """A sync in a process of its own."""

    def __init__(
        self, company: Company, folder: Path, cell: Cell, run_id: str = "faulted", **settings: Any
    ) -> None:
        self._words, theirs = _START.Pipe()
        self._log = folder / f"{run_id}.log"
        self._company = company
        errand = child.Errand(
            company.rig.url, company.rig.sandbox.url, run_id, cell.moment, str(self._log), **settings
        )
        self.process: BaseProcess = _START.Process(target=child.main, args=(errand, theirs))
        self.process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def wait_at(self, where: str) -> None:
        """Until it says that it is there."""
        assert self._words.poll(60), f"it never came to: {where}"
        assert self._words.recv() == ("at", where)

    def go_on(self) -> None:
        with contextlib.suppress(BrokenPipeError):  # it is dead
            self._words.send("go on")

    def ended(self) -> str:
        """What ended it, once it did: its own last word, or the signal."""
        said = ""
        with contextlib.suppress(EOFError, ConnectionResetError):
            assert self._words.poll(60), "it hangs"
            _, said = self._words.recv()
        self.process.join(30)
        assert self.process.exitcode is not None, "it hangs"
        self._company.said.append(self._log.read_text(encoding="utf-8"))
        code = self.process.exitcode
        return said if code >= 0 else signal.Signals(-code).name

    def end(self) -> None:
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        self._words.close()


@contextlib.contextmanager
def started(company: Company, folder: Path, cell: Cell, **settings: Any) -> Iterator[Child]:
    running = Child(company, folder, cell, **settings)
    try:
        yield running
    finally:
        running.end()


def hurt(company: Company, folder: Path, running: Child, cell: Cell) -> None:
    """What the fault is."""
    match cell.fault:
        case "SIGKILL":
            os.kill(running.pid, signal.SIGKILL)
        case "SIGTERM":
            os.kill(running.pid, signal.SIGTERM)
        case "out of memory":
            # how native code ends that is given no memory; what the kernel's own killer sends is SIGKILL
            os.kill(running.pid, signal.SIGABRT)
        case "full disk":
            resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (CAPPED_FILE_BYTES, CAPPED_FILE_BYTES))
        case _:
            assert cell.fault == "two runs at once"
            with started(company, folder, cell, run_id="second") as second:
                assert second.ended() == "WarehouseLocked"


def hurt_at_the_moment(company: Company, folder: Path, running: Child, cell: Cell) -> None:
    if cell.moment not in BODIES_BEFORE:
        running.wait_at(cell.moment)
        hurt(company, folder, running, cell)
        running.go_on()
        return
    deadline = time.monotonic() + 60
    while not company.rig.sandbox.stats()["faults"][0]["hits"]:
        assert time.monotonic() < deadline, f"it never came to: {cell.moment}"
        time.sleep(0.005)
    hurt(company, folder, running, cell)


def cells(*faults: str) -> list[Any]:
    return [
        pytest.param(cell, id=str(cell), marks=() if cell in FAST else pytest.mark.slow)
        for cell in process_cells()
        if cell.fault in faults
    ]


def settle(company: Company, cell: Cell, said: str) -> None:
    """Assert the promises, and keep what the cell showed."""
    received = sum(1 for _, person, outcome in company.rig.log() if outcome != "rejected")
    noted = company.accepted_in("faulted")
    assert "undocumented" not in said, company.said
    company.move_on()
    runs = company.catch_up()
    company.keeps_its_promises("faulted")
    assert runs == 1
    twice = company.sent_twice()
    assert twice <= received - noted  # only what the ledger did not have
    if cell.moment in (PLAN, MERGE) or cell.fault in UNHURT:
        assert twice == 0
        keep(cell, said or "nothing", runs, "none")
        return
    keep(cell, said, runs, "what was not in the ledger")


@pytest.mark.parametrize(
    "cell", cells("SIGKILL", "SIGTERM", "out of memory", "full disk", "two runs at once")
)
def test_a_process_that_is_hurt_breaks_no_promise(company: Company, folder: Path, cell: Cell) -> None:
    if cell.moment in BODIES_BEFORE:
        held = {
            "kind": "slow",
            "seconds": HELD_SECONDS,
            "path": "/api/v2/batch",
            "after": BODIES_BEFORE[cell.moment],
        }
        company.rig.sandbox.set_faults([held])
    with started(company, folder, cell) as running:
        hurt_at_the_moment(company, folder, running, cell)
        company.rig.sandbox.set_faults([])
        said = running.ended()
    settle(company, cell, said)


@pytest.mark.parametrize("cell", cells("locked warehouse", "read-only warehouse"))
def test_a_warehouse_that_cannot_be_written_breaks_no_promise(
    company: Company, folder: Path, cell: Cell
) -> None:
    where = "plan" if cell.moment == PLAN else "push"
    path = company.rig.path
    with started(company, folder, cell, pauses=(where,), drops_rights=True) as running:
        running.wait_at(where)
        with contextlib.ExitStack() as fault:
            if cell.fault == "locked warehouse":
                fault.enter_context(duckdb.connect(str(path)))
            else:
                path.chmod(0o444)
                folder.chmod(0o555)
            running.go_on()
            said = running.ended()
        folder.chmod(0o777)
        path.chmod(0o666)
    assert said == ("WarehouseLocked" if cell.fault == "locked warehouse" else "WarehouseUnavailable")
    settle(company, cell, said)
