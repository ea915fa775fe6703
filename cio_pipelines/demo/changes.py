"""What happens to the demo company between two syncs."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from cio_pipelines.demo.company import connect, utc_seconds
from cio_pipelines.demo.statements import CHANGE, CHANGE_PLAN, CHOSEN, MACROS, NEW_ORDERS


def change(database: Path, share: float = 0.01, now: datetime | None = None, seed: int = 7) -> int:
    """Changes a share of the people, so that each of them has something new to say to Customer.io.

    Of those chosen, 40% take another plan, 30% place an order, 20% change their family name and 10% answer
    the consent questions anew (one in eight of these refuses everything). Whoever had refused everything
    takes messages again. People with a tombstone are left alone. `updated_at` of each becomes `now`.

    Args:
        database: a file that `seed` made.
        share: between 0 and 1, of the people without a tombstone; rounded to the nearest person.
        now: when it happens, with a time zone; the clock's by default.
        seed: another number chooses other people. The same number chooses the same people again.

    Returns:
        How many people changed.

    Raises:
        ValueError: `share` is out of range, or `now` has no time zone.
        duckdb.CatalogException: the file holds no company.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"A share lies between 0 and 1, not at {share}.")
    moment = utc_seconds(now)
    with connect(database) as connection:
        connection.execute(MACROS)
        connection.execute(CHOSEN, {"share": share, "seed": seed})
        connection.begin()
        connection.execute(NEW_ORDERS, {"now": moment})
        connection.execute(CHANGE, {"now": moment})
        connection.commit()
        row = connection.execute("select count(*) from chosen").fetchone()
    return int(row[0]) if row else 0


def change_silently(database: Path, user_id: str) -> None:
    """Moves one user to another plan and leaves `updated_at` alone, as a careless script would.

    Raises:
        LookupError: there is no such user.
    """
    with connect(database) as connection:
        changed = connection.execute(CHANGE_PLAN, {"user_id": user_id}).fetchall()
    if not changed:
        raise LookupError(f"app.users has no user {user_id!r}.")
