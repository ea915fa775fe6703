"""Writes docs/reliability.md from what the suite showed: `python -m tests.chaos.page FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

from .matrix import MEANINGLESS, MOMENTS, cells
from .results import Shown, kept

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
_INTRODUCTION = """# What goes wrong, and what then holds

`make chaos` breaks the people sync in every way below, at every moment that has a meaning, between a DuckDB
file and the sandbox, and writes this page. It fails, and leaves the page as it was, when a promise is broken.
A few of the cells are part of `make test` too.

In each cell some six hundred people are synced for the first time in small bodies, two of them at once; the
fault strikes; a few rows of the mart change; and the sync runs again. Then all of this must hold:

- Customer.io has what the mart has, attribute by attribute, and so has the snapshot.
- In every run, planned = accepted + rejected + quarantined + due, nobody with two outcomes.
- Whom the ledger has as accepted is not sent again, unless their row changed.
- Nothing is sent twice but what had no answer, or was not in the ledger yet when the process ended: bodies
  that were in flight, and those that were answered while a flush was waited for or written.
- What ended the run is one of the documented errors, which says what to do next; nothing that was said holds
  an e-mail, a name or a secret.
- The lease is free again.

How to read the table: *said* is what ended the run that met the fault, an error of
`cio_pipelines/customerio/errors.py` or `cio_pipelines/warehouse/errors.py`, a signal, or "nothing" where the
run went on to its end. *Runs* is how many more it took until there was nothing left to send. *Sent twice* is
what may be, and no more was. *Once* is one request or body that goes wrong, *lasting* all from then on.

The region check is the first question of a push, before any operation. In the first request, in mid-send and
in the last request it is a body of operations. A flush and a merge are struck in the midst of their
transaction, and a plan when it is written and not yet noted. Processes are hurt from outside: SIGKILL is
what the kernel's out-of-memory killer sends too; "out of memory" is SIGABRT, as native code ends that is
given no memory; a full disk is a limit on the size of the process's files; a read-only warehouse is a file
and a folder without the right to write. A redirect to the other region is one that leads away from the host
that was asked, which is refused; between Customer.io's own two hosts it is followed, as the client's tests
show.

Not tried here: jumps of the clock, memory that runs out without an end of the process, other engines than
DuckDB.
"""


def page(shown: list[Shown]) -> str:
    """The text. No times and nothing of the machine, so that two runs write the same."""
    rows = ["| fault | | moment | said | runs | sent twice |", "|---|---|---|---|---|---|"]
    rows += [f"| {s.fault} | {s.extent} | {s.moment} | {s.said} | {s.runs} | {s.twice} |" for s in shown]
    reasons: dict[tuple[str, str], list[str]] = {}
    for (fault, moment), reason in MEANINGLESS.items():
        reasons.setdefault((moment, reason), []).append(fault)
    without = ["| moment | faults | why |", "|---|---|---|"]
    for moment in MOMENTS:
        without += [
            f"| {m} | {', '.join(faults)} | {why} |" for (m, why), faults in reasons.items() if m == moment
        ]
    return "\n".join(
        [
            _INTRODUCTION,
            f"## {len(shown)} cells",
            "",
            *rows,
            "",
            "## Pairs without a meaning",
            "",
            *without,
            "",
        ]
    )


def main(folder: str) -> int:
    """Exit code 1 when a cell is missing: one that failed wrote nothing."""
    found = kept(Path(folder))
    missing = [cell for cell in cells() if cell not in found]
    for cell in missing:
        print(f"no result of: {cell}", file=sys.stderr)
    if missing:
        return 1
    PAGE.write_text(page([found[cell] for cell in cells()]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
