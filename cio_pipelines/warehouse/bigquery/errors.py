"""What BigQuery and Google's authentication say, in our words: without values of rows, with what to do."""

# the client carries few types
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import requests
from google.api_core.exceptions import (
    Forbidden,
    GoogleAPICallError,
    NotFound,
    RetryError,
    ServerError,
    TooManyRequests,
    Unauthorized,
)
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, RefreshError, TransportError
from google.cloud.bigquery.dbapi import Error as DriverError
from google.cloud.exceptions import GoogleCloudError
from sqlalchemy.exc import DBAPIError, NoSuchTableError

from cio_pipelines.warehouse.errors import (
    BytesCeilingExceeded,
    WarehouseBusy,
    WarehouseError,
    WarehouseUnavailable,
)

_RIGHTS = "docs/bigquery.md lists the rights that are needed; grant this one, then run again."
_LOG_IN = (
    "Run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS to a key file "
    "that is valid."
)

_CEILING = re.compile(r"limit for bytes billed: (\d+)\. (\d+) or higher required", re.I)
_PERMISSION = re.compile(r"\b(bigquery\.\w+\.\w+|storage\.\w+\.\w+)\b")
_NAMED = re.compile(r"(Project|Dataset|Table|Job|Session) ([\w:.-]+)")
_ALTERED = re.compile(
    r"Unrecognized name: `?(\w+)|Name (\w+) not found inside|Column (\w+) is not present|"
    r"cannot be inserted into column (\w+)|No such field: (\w+)",
    re.I,
)
_CONCURRENT = re.compile(r"concurrent update|Could not serialize access|conflicting transaction", re.I)


@contextmanager
def translate_errors(name: str) -> Generator[None]:
    """Turns what the client raises into errors of ours; `name` says which database it was."""
    try:
        yield
    except (DBAPIError, GoogleCloudError, GoogleAuthError, RetryError, requests.RequestException) as error:
        raise _translated(_cause(error), name) from None


def _cause(error: BaseException) -> BaseException:
    """Google's own error: SQLAlchemy wraps the DB-API's, which wraps that."""
    found: Any = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(found, DriverError) and found.args and isinstance(found.args[0], BaseException):
        return found.args[0]
    return found


def _translated(error: BaseException, name: str) -> WarehouseError:
    text = str(error)
    if isinstance(error, DefaultCredentialsError):
        return WarehouseUnavailable(f"There are no Google credentials for {name}.", _LOG_IN)
    if isinstance(error, RefreshError | Unauthorized):
        return WarehouseUnavailable(
            f"Google refused the credentials for {name}: they expired or were revoked.", _LOG_IN
        )
    if isinstance(error, TransportError | requests.RequestException | RetryError):
        return WarehouseUnavailable(
            f"{name} cannot be reached ({type(error).__name__}).",
            "Check the network and its proxy, then run again.",
        )
    if ceiling := _CEILING.search(text):
        return BytesCeilingExceeded(
            f"A query on {name} would bill {int(ceiling[2]):,} bytes, and the ceiling is "
            f"{int(ceiling[1]):,}; it did not run.",
            "Raise WAREHOUSE_MAX_BYTES_BILLED, or look for what made it large: a table without partitions, "
            "a window of many days.",
        )
    if _CONCURRENT.search(text):
        return WarehouseBusy(
            f"Another run changed the same table of {name} at the same moment; nothing was kept.",
            "Run again.",
        )
    if isinstance(error, Forbidden):
        return _forbidden(text, name)
    if isinstance(error, TooManyRequests):
        return WarehouseUnavailable(f"{name} is over a quota.", "Wait a while, then run again.")
    if isinstance(error, NotFound | NoSuchTableError) or "Not found: " in text:
        return WarehouseError(
            f"{name} has no {_thing(text)}.",
            "Check project, dataset and location in WAREHOUSE_URL; `cio doctor` shows what is there.",
        )
    if isinstance(error, ServerError):
        return WarehouseUnavailable(f"{name} answered {error.code}.", "Run again in a few minutes.")
    if altered := _ALTERED.search(text):
        column = next(group for group in altered.groups() if group)
        return WarehouseError(
            f"{name} refused a statement: a table has no column {column}, or another type of it.",
            "Somebody altered a table of this project: `cio doctor` names what differs.",
        )
    kind = type(error).__name__
    status = f" {error.code}" if isinstance(error, GoogleAPICallError) and error.code else ""
    return WarehouseError(
        f"{name} failed with {kind}{status}.", "Run `cio doctor`; if that passes, report it."
    )


def _forbidden(text: str, name: str) -> WarehouseError:
    if "quota" in text.lower() or "rate limit" in text.lower():
        return WarehouseUnavailable(f"{name} is over a quota.", "Wait a while, then run again.")
    permission = _PERMISSION.search(text)
    right = f"the right {permission[1]}" if permission else "a right"
    return WarehouseUnavailable(f"The credentials lack {right} on {_thing(text)} of {name}.", _RIGHTS)


def _thing(text: str) -> str:
    """Which project, dataset or table a message is about."""
    found = _NAMED.search(text)
    return f"{found[1].lower()} {found[2].rstrip('.:')}" if found else "such table or dataset"
