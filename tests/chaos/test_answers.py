"""Whatever Customer.io answers, and wherever the answer is lost on its way, the promises hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cio_pipelines.customerio import CustomerIOError, Timeouts, errors
from cio_pipelines.sync.windows import FULL
from tests.sync.rig import EVERYTHING, QUICK

from .company import Company
from .matrix import (
    ANSWERS,
    BODIES_BEFORE,
    BODY,
    CHECK,
    FIRST,
    IDENTIFIED,
    MID,
    SUPPRESSED,
    Answer,
    Cell,
    answer_cells,
    operations_before,
)
from .relay import Relay, client_side, relay
from .results import keep

_OWN_REMEDIES = {
    "or check that this is the right host.": "TransportError",
    "a proxy or login page may be answering in between.": "UnexpectedResponse",
}
BATCHES, CHECKS = "/api/v2/batch", "/api/v1/accounts/region"
FAST = {
    Cell("429 without Retry-After", MID, "once"),
    Cell("500", MID, "lasting"),
    Cell("reset after the body was read", MID, "once"),
    Cell("207 with all indexes", FIRST, "once"),
    Cell("401 in mid-run (rotated secret)", MID, "lasting"),
    Cell("connect refused", MID, "lasting"),
}
"""Run by `make test` too; the others by `make chaos` and `make test-all`."""


def parameters() -> list[Any]:
    return [
        pytest.param(cell, id=str(cell), marks=() if cell in FAST else pytest.mark.slow)
        for cell in answer_cells()
    ]


def switch(cell: Cell, answer: Answer) -> dict[str, Any]:
    """The sandbox's switch for a cell. After the region check a lasting fault goes on to the bodies."""
    at_check = cell.moment == CHECK
    path = BATCHES if not at_check else "/api/" if cell.extent == "lasting" else CHECKS
    if at_check:
        return {**answer.switch, "path": path, **({"count": 1} if cell.extent == "once" else {})}
    before = BODIES_BEFORE[cell.moment]
    if answer.of == "operations":
        size = SUPPRESSED if before == 0 else BODY
        count = {"count": size // answer.switch.get("every", 1)} if cell.extent == "once" else {}
        return {**answer.switch, "after": operations_before(cell.moment), **count}
    return {**answer.switch, "path": path, "after": before, **({"count": 1} if cell.extent == "once" else {})}


def client(answer: Answer) -> dict[str, Any]:
    """Settings of the client that meets a fault."""
    deadline = answer.client.get("deadline", QUICK.deadline)
    settings: dict[str, Any] = {"retry": replace(QUICK, deadline=deadline)}
    if "timeout" in answer.client:
        settings["timeout"] = Timeouts(**answer.client["timeout"])
    return settings


def meet(company: Company, cell: Cell, settings: dict[str, Any], way: Relay | None = None) -> tuple[str, str]:
    """One run that meets the fault; returns its id and what it said ended it."""
    engine = company.rig.engine(settings)
    run_id = company.rig.new_id()
    engine.extract(run_id, FULL)
    plan = engine.plan(run_id, EVERYTHING)
    broken = way is not None and cell.moment in (CHECK, FIRST)
    if way is not None and broken:
        way.break_(cell.fault)

    def watch(done: int, total: int) -> None:
        nonlocal broken
        if way is not None and not broken and done >= operations_before(cell.moment):
            broken = True
            way.break_(cell.fault)

    report = engine.push(run_id, watch)
    outcomes = report.outcomes
    assert outcomes.complete, outcomes
    assert outcomes.planned == plan.planned == IDENTIFIED + SUPPRESSED + outcomes.quarantined
    assert engine.outcomes(run_id) == outcomes
    said = report.ended_by or ""
    company.said.append(said)
    assert company.ended_by(run_id) == report.ended_by
    assert (outcomes.due == 0) == (not said)
    return run_id, said


def kind_of(said: str) -> str:
    """Which error of the documented tree a run named, by what it tells people to do next."""
    if not said:
        return ""
    for words, name in _OWN_REMEDIES.items():
        if said.endswith(words):
            return name
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, CustomerIOError)
    ]
    return next((kind.__name__ for kind in kinds if said.endswith(kind.default_remedy)), said)


@pytest.mark.parametrize("cell", parameters())
def test_an_answer_that_goes_wrong_breaks_no_promise(
    company: Company, monkeypatch: pytest.MonkeyPatch, cell: Cell
) -> None:
    answer = ANSWERS[cell.fault]
    if answer.switch:
        company.rig.sandbox.set_faults([switch(cell, answer)])
        run_id, said = meet(company, cell, client(answer))
        (found,) = company.rig.sandbox.stats()["faults"]
        assert found["hits"] > 0, "the fault never struck"
        company.rig.sandbox.set_faults([])
        hits = found["hits"]
    else:
        with relay(company.rig.sandbox.port, monkeypatch) as way:
            settings = {"base_url": way.url, "verify": client_side()}
            run_id, said = meet(company, cell, settings, way)
        hits = 2  # bodies that were under way when the connections broke
    assert kind_of(said) == cell.says, said
    company.move_on()
    runs = company.catch_up()
    company.keeps_its_promises(run_id)
    assert runs == 1
    twice = company.sent_twice()
    assert twice <= (hits * BODY if answer.is_applied or not answer.switch else 0)
    keep(
        cell,
        cell.says or "nothing",
        runs,
        "unanswered bodies" if answer.is_applied or not answer.switch else "none",
    )
