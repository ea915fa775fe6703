"""All promises of the people sync at once, in random histories of a workspace.

The rules of a history are in `machine.py`, what must hold in `history.py`, and why in `reference.py`. A test
prints its seed; MODEL_SEED=SEED pytest -s tests/model goes through the same histories again.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import get_state_machine_test

from cio_pipelines.sandbox import SandboxOptions, SandboxServer
from tests.sync.rig import Rig

from .machine import PeopleHistory

FIRST_SEED = int(os.environ.get("MODEL_SEED", "1"))


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One file and one sandbox for all histories, where an e-mail identifies nobody."""
    with SandboxServer(SandboxOptions(workspace_kind="id")) as sandbox:
        rig = Rig(tmp_path_factory.mktemp("model") / "warehouse.duckdb", sandbox)
        with rig.kept_open():
            yield rig


def go_through(rig: Rig, number: int, histories: int, steps: int) -> int:
    """Histories that are drawn from a seed; returns how many steps they had."""
    machine = type("Machine", (PeopleHistory,), {"rig": rig, "steps": 0, "runs": Counter()})
    chosen = settings(
        max_examples=histories,
        stateful_step_count=steps,
        deadline=None,
        print_blob=True,
        database=None,
        report_multiple_bugs=False,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    print(f"seed {number}, {histories} histories of up to {steps} steps")
    seed(number)(get_state_machine_test(machine, settings=chosen))()
    print(f"{machine.steps} steps, runs: {dict(machine.runs)}")
    return machine.steps


@pytest.mark.timeout(900)  # a history that breaks one is made short first
def test_no_short_history_breaks_a_promise(rig: Rig) -> None:
    assert go_through(rig, FIRST_SEED, 5, 25) >= 100


@pytest.mark.slow
@pytest.mark.timeout(7_200)
def test_ten_thousand_steps_of_long_histories_break_no_promise(rig: Rig) -> None:
    steps, number = 0, FIRST_SEED
    while steps < 10_000:
        steps += go_through(rig, number, 20, 50)
        number += 1
    print(f"{steps} steps in all")
