"""Which dbt runs, and in which warehouse it builds: both follow from WAREHOUSE_URL.

| engine | target of `profiles.yml` | dbt |
|---|---|---|
| DuckDB | `local` | of this environment |
| PostgreSQL | `postgres` | of this environment |
| BigQuery | `prod` | of `.venvs/dbt-bigquery` (`make setup-bigquery`): its packages cannot live beside ours |

CIO_DBT_EXECUTABLE names another dbt, DBT_PROFILES_DIR a folder with another `profiles.yml`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from cio_pipelines.settings import LOCAL, ROOT, Settings
from cio_pipelines.warehouse.connect import Engine, WarehouseUrl

BIGQUERY_DBT = ROOT / ".venvs" / "dbt-bigquery" / "bin" / "dbt"

_TARGETS: dict[Engine, str] = {"duckdb": "local", "postgresql": "postgres", "bigquery": "prod"}


class DbtProjectError(Exception):
    """The dbt project cannot be read; the message is what dbt says about it."""


class DbtUnavailable(DbtProjectError):
    """The dbt that builds in this warehouse is not installed; the message says how to install it."""


def target_folder(settings: Settings) -> Path:
    """Where dbt's manifest is kept: DBT_TARGET_PATH, else inside DAGSTER_HOME, else in the local state.

    Beside Dagster's own local home, not inside: it outlives the history of runs. A manifest is of one target,
    so that each but the embedded default has a folder below.
    """
    if given := os.environ.get("DBT_TARGET_PATH"):
        folder = Path(given).absolute()
    else:
        home = Path(os.environ.get("DAGSTER_HOME") or LOCAL).absolute()
        folder = (LOCAL if home.is_relative_to(LOCAL) else home) / "dbt"
    place = settings.warehouse_location
    names = {"duckdb": "", "postgresql": "postgresql", "bigquery": f"{place.project}.{place.dataset}"}
    return folder / names[place.engine]


def profiles_folder(default: Path) -> Path:
    """Where `profiles.yml` is: DBT_PROFILES_DIR, else the project's own folder."""
    return Path(os.environ.get("DBT_PROFILES_DIR") or default).absolute()


def dbt_executable(settings: Settings) -> Path:
    """The dbt that has the adapter of the warehouse: the one on PATH, if any, may lack it.

    Raises:
        DbtUnavailable: it is not there.
    """
    if settings.cio_dbt_executable is not None:
        executable = settings.cio_dbt_executable
        remedy = "Correct CIO_DBT_EXECUTABLE, which names it."
    elif settings.engine == "bigquery":
        executable = BIGQUERY_DBT
        remedy = (
            "Run `make setup-bigquery`, or name another dbt that has dbt-bigquery with CIO_DBT_EXECUTABLE."
        )
    else:
        executable = Path(sys.executable).parent / "dbt"
        remedy = "Run `make setup`."
    if not os.access(executable, os.X_OK):
        raise DbtUnavailable(f"There is no dbt for {settings.engine} at {executable}. {remedy}")
    return executable


def dbt_environment(settings: Settings, run_id: str | None = None) -> dict[str, str]:
    """What `profiles.yml`, the models and dbt read from the environment.

    The same for parsing and for building, or dbt's parser starts afresh each time, which costs a second;
    but for `run_id`, which only labels what is run.
    """
    place = settings.warehouse_location
    return {
        "DBT_TARGET": _TARGETS[place.engine],
        "DBT_TARGET_PATH": str(target_folder(settings)),
        "DBT_LOG_PATH": str(target_folder(settings)),
        # its debug log quotes values of failing rows
        "DBT_LOG_LEVEL_FILE": "none",
        "DBT_USE_COLORS": "false",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DBT_RUN_ID": run_id or "none",
        "CIO_ENV": settings.cio_env,
        **_connection(settings, place),
    }


def _connection(settings: Settings, place: WarehouseUrl) -> dict[str, str]:
    if place.engine == "bigquery":
        return {
            "DBT_BIGQUERY_PROJECT": place.project,
            "DBT_BIGQUERY_DATASET": place.dataset,
            # read as Python's values: None leaves the choice to BigQuery
            "DBT_BIGQUERY_LOCATION": repr(place.location),
            "DBT_BIGQUERY_MAX_BYTES_BILLED": repr(settings.warehouse_max_bytes_billed),
        }
    if place.engine == "postgresql":
        url, options = place.url, place.url.query
        return {
            "DBT_POSTGRES_HOST": str(url.host or options.get("host") or "localhost"),
            "DBT_POSTGRES_PORT": str(url.port or options.get("port") or 5432),
            "DBT_POSTGRES_USER": url.username or str(options.get("user", "")),
            # this name keeps it out of what dbt prints
            "DBT_ENV_SECRET_POSTGRES_PASSWORD": str(url.password or ""),
            "DBT_POSTGRES_DATABASE": url.database or "",
            "DBT_POSTGRES_SSLMODE": str(options.get("sslmode", "prefer")),
            # dbt dates a snapshot's rows with the session's clock
            "PGTZ": "UTC",
            "PGDATESTYLE": "ISO",
        }
    return {
        "DBT_DUCKDB_PATH": str(place.path),
        "DBT_DUCKDB_MEMORY_LIMIT": settings.warehouse_memory_limit,
    }
