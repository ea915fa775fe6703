"""From a sync to what the export says of it: sandbox, storage exports, load, witness."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from cio_pipelines.exports.load import ExportLoad
from cio_pipelines.landing import LandingZone
from cio_pipelines.sandbox import SandboxServer
from cio_pipelines.sync.witness import compare_with_export
from cio_pipelines.sync.witness_reports import AttributeFinding, WitnessReport
from tests.sync.rig import EVERYTHING, Rig

PEOPLE = """
create schema if not exists analytics;
create table analytics.customerio_people as select
    'p' || i as person_id, timestamp '2026-05-01' as updated_at, i = 3 as opted_out,
    null::timestamp as deleted_at, 'P' || i || '@Example.com' as email,
    'Zoë "the ' || i || 'th"' as nickname, i as number, (i / 3)::decimal(38, 9) as total, i / 7 as ratio,
    i % 2 = 0 as flag, timestamp '2026-01-02 03:04:05.678' as created_at, date '1969-01-01' as born_on,
    [i::varchar, 'é'] as tags, {'b': i, 'a': [1.5, null]} as nested, case when i > 5 then 'x' end as sparse,
    case when i = 4 then '' end as empty, '0012' as code
from range(12) as r(i)
"""

FAR_FUTURE = 4_000_000_000


class Loop:
    """A sync to the sandbox, whose exports are loaded into the warehouse that the sync reads."""

    def __init__(self, folder: Path, sandbox: SandboxServer) -> None:
        self.sync = Rig(folder / "warehouse.duckdb", sandbox)
        self.sync.make_mart(statement=PEOPLE)
        self.sandbox = sandbox
        self.zone = LandingZone(f"file://{folder / 'exports'}")
        self.folder = folder / "exports"

    def identify(self, person: str, **attributes: Any) -> None:
        """What somebody else tells the sandbox of a person, as of a moment that no export can know yet."""
        body = {
            "type": "person",
            "action": "identify",
            "identifiers": {"id": person},
            "timestamp": FAR_FUTURE,
            "attributes": attributes,
        }
        headers = {"Authorization": self.sandbox.track_authorization}
        with httpx.Client(base_url=self.sandbox.url, headers=headers, trust_env=False) as client:
            client.post("/api/v2/entity", json=body).raise_for_status()

    def ask(self) -> WitnessReport:
        """What the exports say. They know of everything: something else happens after each sync."""
        self.identify("somebody else's", seen="yes")
        self.sandbox.export(self.folder)
        report = ExportLoad(self.sync.warehouse, self.zone).run(None, "load", only_new=True)
        assert report.failed == ()
        return compare_with_export(self.sync.warehouse, "tests", "people", margin=timedelta(0))


@pytest.fixture
def loop(tmp_path: Path, sandbox: SandboxServer) -> Iterator[Loop]:
    loop = Loop(tmp_path, sandbox)
    with loop.sync.kept_open():
        yield loop


def test_what_was_applied_is_found_as_accepted(loop: Loop) -> None:
    loop.sync.run()

    first = loop.ask()
    loop.sync.change("p1", "number = 100, nickname = null, tags = ['z']")
    loop.sync.change("p2", "opted_out = true")
    loop.sync.change("p5", "deleted_at = now()::timestamp")
    loop.sync.run(approvals=EVERYTHING)
    loop.sync.erase(EVERYTHING)
    second = loop.ask()

    assert first.attributes == second.attributes == ()
    assert first.verdicts == second.verdicts == {"agreed": 12}
    assert first.unknown == second.unknown == 1
    assert first.unwitnessed == ()


def test_what_was_accepted_and_not_applied_is_found(loop: Loop) -> None:
    loop.sync.run()
    assert loop.ask().findings == 0
    loop.sync.change("p1", "number = 100, nickname = null")
    loop.sync.change("p2", "opted_out = true")
    loop.sync.change("p6", "number = 101")
    loop.sync.sql(
        "insert into analytics.customerio_people (person_id, updated_at) values ('new', '2026-05-02')"
    )
    with loop.sync.faults({"kind": "unapplied", "ids": ["p1", "p2", "new"]}):
        assert loop.sync.run(approvals=EVERYTHING).outcomes.accepted == 4

    report = loop.ask()

    assert report.sample == {
        "missing": ("new",),
        "removed": (),
        "different": ("p1",),
        "still_there": ("p2",),
    }
    assert report.attributes == (
        AttributeFinding("nickname", left_over=1),
        AttributeFinding("number", differing=1),
    )
    assert report.verdicts["agreed"] == 10
    assert report.people == 13


def test_what_others_changed_afterwards_is_told_apart(loop: Loop) -> None:
    loop.sync.run()
    loop.identify("p1", number=77)

    report = loop.ask()

    assert report.findings == 0
    assert report.verdicts == {"agreed": 11, "overwritten": 1}
    assert report.attributes == (AttributeFinding("number", overwritten=1),)
