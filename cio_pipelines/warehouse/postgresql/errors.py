"""What PostgreSQL and its driver say, in our words: without values of rows, with what to do."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager

import psycopg
from sqlalchemy.exc import DBAPIError

from cio_pipelines.warehouse.errors import (
    WarehouseBusy,
    WarehouseError,
    WarehouseFull,
    WarehouseUnavailable,
)

_RIGHTS = {
    "database": "CREATE and TEMPORARY",
    "schema": "USAGE, and CREATE where the project makes tables,",
    "table": "SELECT, INSERT, UPDATE and DELETE",
    "view": "SELECT",
    "materialized view": "SELECT",
}
_DENIED = re.compile(r'permission denied for (database|schema|table|view|materialized view) "?([^"]+)"?')
_OWNED = re.compile(r'must be owner of (\w+) "?([^"]+)"?')

_BUSY = frozenset({"40001", "40P01", "55P03"})
_NAMED = frozenset({"42P01", "42703", "42883", "3F000", "42P07", "42804"})
"""States whose message names tables, columns, functions and types, and quotes no value."""


@contextmanager
def translate_errors(name: str) -> Generator[None]:
    """Turns what psycopg raises into errors of ours, without the rows that PostgreSQL quotes in details."""
    try:
        yield
    except (DBAPIError, psycopg.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        raise _translated(cause, name) from None


def _translated(error: BaseException, name: str) -> WarehouseError:
    state = getattr(error, "sqlstate", None) or ""
    text = error.diag.message_primary or "" if isinstance(error, psycopg.Error) else ""
    if not state or state[:2] in ("08", "28", "3D", "57") or state == "53300":
        return _unreachable(error, state, name)
    if state == "42501":
        return _forbidden(text, name)
    if state in _BUSY or _is_of_catalog(error, text):
        return WarehouseBusy(
            f"Another run changed the same table of the {name} at the same moment.",
            "Nothing of this one was kept: run again.",
        )
    if state[:2] == "53":
        return WarehouseFull(
            f"There is no room left on the disk or in the memory of the {name}.",
            "Nothing of the last transaction was kept: free space, then run again.",
        )
    if state == "25006":
        return WarehouseUnavailable(f"The {name} can only be read.", "Name the primary in WAREHOUSE_URL.")
    if state in _NAMED:
        return WarehouseError(
            f"The {name} refused a statement: {text}.",
            "Somebody altered a table of this project, or it was not made: `cio doctor` names what differs.",
        )
    return WarehouseError(
        f"The {name} failed with {type(error).__name__} ({state}).",
        "Run `cio doctor`; if that passes, report it.",
    )


def _unreachable(error: BaseException, state: str, name: str) -> WarehouseError:
    """The connection was not made, or was lost. What libpq says names host, port, database and user only."""
    text = str(error)
    if state == "57014":
        return WarehouseError(
            f"A statement in the {name} was cancelled.",
            "Raise the statement_timeout of the role that WAREHOUSE_URL names, then run again.",
        )
    if isinstance(error, psycopg.DataError | psycopg.ProgrammingError | psycopg.InterfaceError):
        # raised on this side, about values or about options of the URL
        return WarehouseError(
            f"The {name} failed with {type(error).__name__}.",
            "Check the options of WAREHOUSE_URL, and for infinite moments in what is read.",
        )
    for pattern, what, remedy in _REASONS:
        if re.search(pattern, text):
            return WarehouseUnavailable(f"The {name} {what}.", remedy)
    return WarehouseUnavailable(
        f"The {name} cannot be reached or broke off.",
        "Check host and port in WAREHOUSE_URL and that the server runs, then run again.",
    )


_REASONS = (
    ("password authentication failed", "refused the user or password", "Correct them in WAREHOUSE_URL."),
    ("no password supplied", "wants a password", "Add it to WAREHOUSE_URL."),
    ("no pg_hba.conf entry", "lets nobody in from here", "Allow this host and user in its pg_hba.conf."),
    (
        r'role ".*" does not exist',
        "does not know the user",
        "Correct it in WAREHOUSE_URL, or create it.",
    ),
    (r'database ".*" does not exist', "does not exist", "Create it, or correct WAREHOUSE_URL."),
    (
        "too many",
        "has no connection left",
        "End other programs, then run again.",
    ),
    ("remaining connection slots", "has no connection left", "End other programs, then run again."),
)


def _forbidden(text: str, name: str) -> WarehouseError:
    if denied := _DENIED.search(text):
        kind, thing = denied.groups()
        return WarehouseUnavailable(
            f"The user of WAREHOUSE_URL lacks a right on {kind} {thing} of the {name}.",
            f"Grant {_RIGHTS[kind]} on it, then run again.",
        )
    if owned := _OWNED.search(text):
        return WarehouseUnavailable(
            f"The user of WAREHOUSE_URL does not own {owned[1]} {owned[2]} of the {name}.",
            "Make it the owner, for releases alter their own tables, then run again.",
        )
    return WarehouseUnavailable(
        f"The user of WAREHOUSE_URL lacks a right on the {name}.",
        "docs/engines.md lists the rights that are needed; grant them, then run again.",
    )


def _is_of_catalog(error: BaseException, text: str) -> bool:
    """Whether two made or altered the same thing at the same moment: IF NOT EXISTS does not help then."""
    made = (psycopg.errors.DuplicateObject, psycopg.errors.DuplicateSchema, psycopg.errors.DuplicateTable)
    if isinstance(error, made):
        return True
    if isinstance(error, psycopg.errors.UniqueViolation):
        return error.diag.schema_name == "pg_catalog"
    return isinstance(error, psycopg.errors.InternalError_) and "concurrently" in text
