"""A sync in a process of its own, forked from one that has the imports done, which cost more than a cell.

It says where it is and waits to be let go on, so that all that goes wrong comes from outside, by its id.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import FrameType

from cio_pipelines.customerio import TrackClient
from cio_pipelines.sync.engine import PeopleSync, SyncSettings
from cio_pipelines.sync.errors import SyncError
from cio_pipelines.sync.specs import PEOPLE
from cio_pipelines.sync.windows import FULL
from cio_pipelines.warehouse import WarehouseError, open_warehouse
from tests.sync.rig import QUICK, TLS, UNGUARDED

from .company import PUSH
from .watched import Watched

INTERRUPTED = 130
NOBODY = 65_534


@dataclass(frozen=True)
class Errand:
    """What a child does. `pauses`: moments at which it says so and waits: those of `Watched`, before the plan
    and before the push. `drops_rights`: root may write whatever the rights say, so it goes on as nobody.
    """

    url: str
    sandbox: str
    run_id: str
    moment: str
    log: str
    pauses: tuple[str, ...] = ()
    drops_rights: bool = False


def _end_as_by_ctrl_c(number: int, frame: FrameType | None) -> None:
    """As `cio` takes a scheduler's SIGTERM; of Ctrl-C the event loop knows how to end."""
    del number, frame
    signal.raise_signal(signal.SIGINT)


def main(errand: Errand, words: Connection) -> None:
    """Sync once, say what ended it, and exit as `cio` would."""
    log = os.open(errand.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(log, 1)
    os.dup2(log, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _end_as_by_ctrl_c)
    if errand.drops_rights and os.geteuid() == 0:
        os.seteuid(NOBODY)
    try:
        said, code = _sync(errand, words), 0
    except KeyboardInterrupt:
        said, code = "interrupted", INTERRUPTED
    except (SyncError, WarehouseError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        said, code = type(error).__name__, 1
    except MemoryError:
        said, code = "MemoryError", 1
    except BaseException:  # noqa: BLE001  # told to the parent, which fails for it
        traceback.print_exc()
        said, code = "undocumented", 1
    words.send(("ended", said))
    words.close()
    sys.stderr.flush()
    os._exit(code)


def _sync(errand: Errand, words: Connection) -> str:
    def pause(where: str) -> None:
        words.send(("at", where))
        words.recv()

    warehouse = Watched(
        open_warehouse(errand.url, memory_limit="500MB", threads=2),
        errand.moment,
        lambda: pause(errand.moment),
    )
    engine = PeopleSync(
        warehouse,
        PEOPLE,
        SyncSettings(workspace="tests", guards=UNGUARDED, push=PUSH),
        lambda: TrackClient(
            site_id="sandbox-site",
            api_key="sandbox-key",
            base_url=errand.sandbox,
            requests_per_second=100_000,
            retry=QUICK,
            verify=TLS,
        ),
    )
    engine.extract(errand.run_id, FULL)
    if "plan" in errand.pauses:
        pause("plan")
    engine.plan(errand.run_id)
    if "push" in errand.pauses:
        pause("push")
    report = engine.push(errand.run_id)
    print(report.ended_by or "")
    return report.ended_by or ""
