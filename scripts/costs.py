"""What a day of scheduled runs reads on BigQuery, by the definitions of the tables: docs/bigquery.md has it.

    python scripts/costs.py

BigQuery bills the bytes of the columns that a query names, in the partitions that it cannot leave out,
and for a MERGE all columns of the target too. A text counts its bytes and two more.
"""

from collections.abc import Iterable

import sqlalchemy as sa

from cio_pipelines.sync.state import sync_acks, sync_plan, synced_people

RUNS = 96
CHANGED = 0.01
"""Share of the people who change in a day, evenly over it."""

DOLLARS_PER_TIB = 6.25
"""On-demand price in the multi-region US by Google's price list; the first TiB of a month is free."""

LENGTHS = {
    "workspace": 20,
    "sync": 6,
    "person_id": 12,
    "state": 10,
    "attributes": 250,
    "attributes_hash": 32,
    "mapping_version": 12,
    "run_id": 36,
    "operation": 8,
    "why": 7,
}
"""Bytes of texts: ids of 12 characters, the eight attributes of `customerio_people`, Dagster's run ids."""

MART = 230
"""Bytes of a row of `customerio_people`: its eight attributes, two consents and four control columns."""

EMAIL = 26
SOURCES = 95 + 5 * 62
"""Bytes a person of `app.users` and of five rows in `app.orders`, which dbt reads to build the mart."""

OPERATION = 430
"""Bytes of a person in a request body, whose limit is 500,000."""

Column = sa.Column[object]


def width(column: Column) -> int:
    """Bytes of a value."""
    if isinstance(column.type, sa.String):
        return LENGTHS.get(column.name, 0) + 2
    return 8


def row(table: sa.Table, names: Iterable[str] | None = None) -> int:
    """Bytes of a row, or of some of its columns."""
    wanted = set(names) if names is not None else {column.name for column in table.columns}
    return sum(width(column) for column in table.columns if column.name in wanted)


OWNER = ("workspace", "sync")


def scheduled_run() -> dict[str, float]:
    """Bytes that a run of the schedule reads, for one person in the mart."""
    # half of a day's changes have come by the average run, which looks at today only
    window = CHANGED / 2
    # and this many are planned, sent and merged by one run
    planned = CHANGED / RUNS
    compared = (
        *OWNER,
        "person_id",
        "state",
        "attributes_hash",
        "attributes",
        "mapping_version",
        "source_updated_at",
    )
    # four of these reads are the verification's
    ledger = planned * (12 * row(sync_plan) + 14 * row(sync_acks))
    return {
        "dbt builds the mart": SOURCES,
        "compare with the snapshot": row(synced_people, compared) + 3 * window * MART,
        "guards' denominator": row(synced_people, (*OWNER, "state")) + 8,
        "shared e-mails": 3 * (EMAIL + 2) + 3 * (LENGTHS["person_id"] + 2),
        "merge into the snapshot": row(synced_people) + planned * row(sync_plan),
        "plan and ledger": ledger,
        "every person's trace": row(synced_people, (*OWNER, "person_id", "run_id")),
    }


def full_run() -> float:
    """Bytes that a full sync reads beyond a scheduled one, for one person in the mart."""
    found = row(synced_people, (*OWNER, "mapping_version", "state", "person_id"))
    # which attributes differ
    told = row(synced_people, (*OWNER, "person_id", "attributes"))
    # whether everybody in the snapshot has an accepted attempt
    return 3 * MART + found + told + row(synced_people, (*OWNER, "person_id", "run_id"))


def requests(people: int) -> int:
    """Request bodies a day."""
    per_run = people * CHANGED / RUNS
    per_body = 500_000 // OPERATION
    return RUNS * max(1, -(-int(per_run) // per_body))


def table() -> str:
    """The costs as Markdown."""
    sizes = (1_000_000, 10_000_000, 100_000_000)
    lines = [
        "| | " + " | ".join(f"{size // 1_000_000} million" for size in sizes) + " |",
        "|---|---|---|---|",
    ]
    for name, each in scheduled_run().items():
        lines.append(f"| {name}, GB a run | " + " | ".join(f"{each * n / 1e9:.2f}" for n in sizes) + " |")
    sync = sum(scheduled_run().values()) - SOURCES
    day = {n: (sync * RUNS + full_run()) * n for n in sizes}
    built = {n: SOURCES * RUNS * n for n in sizes}
    lines.append("| **the sync, TB a day** | " + " | ".join(f"**{day[n] / 1e12:.3f}**" for n in sizes) + " |")
    lines.append("| the mart, TB a day | " + " | ".join(f"{built[n] / 1e12:.3f}" for n in sizes) + " |")
    dollars = {n: (day[n] + built[n]) / 2**40 * DOLLARS_PER_TIB for n in sizes}
    lines.append("| both, dollars a day on demand | " + " | ".join(f"{dollars[n]:.2f}" for n in sizes) + " |")
    hourly = {n: dollars[n] / 4 for n in sizes}
    lines.append("| the same every hour | " + " | ".join(f"{hourly[n]:.2f}" for n in sizes) + " |")
    lines.append("| requests to Customer.io a day | " + " | ".join(f"{requests(n):,}" for n in sizes) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
