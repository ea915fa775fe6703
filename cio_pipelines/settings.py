"""Every setting, read once from the environment.

A value is demanded only where it is used: a sync needs no App API key. A variable that begins like ours and
is none of ours is taken for a typo. Secrets are never in a repr, a message or metadata.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from cio_pipelines.alerting import Channel, EmailChannel, WebhookChannel
from cio_pipelines.customerio import Region, RetryPolicy, TrackClient
from cio_pipelines.environments import refused_address, refused_dataset
from cio_pipelines.landing import LandingZone
from cio_pipelines.landing.sweeping import REQUESTS
from cio_pipelines.secret_files import FROM_FILES, SUFFIX, SecretFileError, with_files
from cio_pipelines.sync.engine import PeopleSync
from cio_pipelines.sync.events.engine import EventSync
from cio_pipelines.sync.guards import GuardLimits, Limits
from cio_pipelines.sync.push import PushSettings
from cio_pipelines.sync.settings import SyncSettings
from cio_pipelines.sync.specs import EVENTS, PEOPLE
from cio_pipelines.verification.reports import Rule
from cio_pipelines.warehouse import Warehouse, WarehouseUnavailable, open_warehouse
from cio_pipelines.warehouse.connect import Engine, WarehouseUrl, parse_url

if TYPE_CHECKING:
    from google.cloud import bigquery

ROOT = Path(__file__).resolve().parents[1]
LOCAL = ROOT / ".local"
"""Local state of the embedded default: warehouse, Dagster's home, sandbox. Ignored by git."""

SANDBOX_PORT = 8471
SERVICE_PORT = 8472
"""Where `cio serve` listens on a laptop."""

SANDBOX_SIGNING_KEY = "sandbox-signing-key"
_OURS = ("CIO_", "CUSTOMERIO_", "WAREHOUSE_", "LANDING_", "QUEUE_")
_OTHERS = frozenset(
    {
        # settings of parts that read them elsewhere, and of the tests
        "CIO_SHARED_DIR",
    }
)

_FLUSHES: dict[Engine, tuple[int, float]] = {
    "duckdb": (10_000, 1.0),
    "postgresql": (10_000, 1.0),
    # each is two load jobs and a script there: seconds, and of 1,500 loads a day into one table
    "bigquery": (100_000, 15.0),
}
"""People and seconds after which a push writes its ledger, when the settings do not say."""

_OWN_DATASETS: set[tuple[str, str]] = set()
"""Datasets that this process has seen to be of its environment: one request each."""

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class SettingsError(Exception):
    """A variable is missing or wrong. The message names it and says what to set; it quotes no secret."""


class Settings(BaseModel):
    """The environment as frozen values; each is the variable of the same name in capitals."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    cio_env: Literal["local", "staging", "prod"] = "local"
    # it may hold a password
    warehouse_url: Annotated[str, Field(repr=False)] = f"duckdb:///{LOCAL / 'warehouse.duckdb'}"
    warehouse_memory_limit: str = "500MB"
    warehouse_threads: Annotated[int, Field(ge=1)] | None = None
    warehouse_max_bytes_billed: Annotated[int, Field(ge=1)] | None = None
    cio_dbt_executable: Path | None = None

    # it may hold a password
    queue_url: Annotated[str, Field(repr=False)] = f"sqlite:///{LOCAL / 'queue.sqlite'}"
    cio_queue_max_messages: Annotated[int, Field(ge=1)] = 1_000_000
    cio_queue_wait_seconds: Annotated[float, Field(ge=0)] = 0.0

    landing_url: str = f"file://{LOCAL / 'landing'}"
    landing_exports_url: str | None = None

    customerio_region: Region = Region.US
    customerio_site_id: str | None = None
    customerio_track_api_key: SecretStr | None = None
    customerio_app_api_key: SecretStr | None = None
    customerio_webhook_signing_key: SecretStr | None = None
    customerio_track_url: str | None = None
    customerio_app_url: str | None = None
    customerio_ca_bundle: Path | None = None
    customerio_workspace: str | None = None
    customerio_workspace_id: int | None = None
    customerio_workspace_kind: Literal["email_or_id", "id"] = "email_or_id"
    customerio_requests_per_second: Annotated[float, Field(gt=0)] = 100
    customerio_max_in_flight: Annotated[int, Field(ge=1, le=100)] = 32

    cio_opted_out: Literal["suppress", "unsubscribe"] = "suppress"
    cio_max_attempts: Annotated[int, Field(ge=1)] = 3
    cio_max_rejected_share: Share = 0.01
    cio_guard_changed_share: Share = 0.30
    cio_guard_changed_people: Count = 100
    cio_guard_suppressed_share: Share = 0.05
    cio_guard_suppressed_people: Count = 20
    cio_guard_erased_share: Share = 0.01
    cio_guard_erased_people: Count = 10
    cio_flush_people: Annotated[int, Field(ge=1)] | None = None
    cio_flush_seconds: Annotated[float, Field(gt=0)] | None = None
    cio_read_back_sample: Count = 1_000
    cio_read_back_events: Count = 100
    cio_read_back_wait_seconds: Annotated[float, Field(ge=0)] = 30
    cio_activity_pages: Annotated[int, Field(ge=1)] = 10
    cio_unapplied: Rule = "resend"
    cio_retention_days: Annotated[int, Field(ge=1)] = 30
    cio_partitions_start: date = date(2015, 1, 1)
    cio_lookback_hours: Annotated[float, Field(ge=0)] = 6
    cio_max_quarantined_share: Share = 0.01
    cio_webhook_silence_hours: Annotated[float, Field(gt=0)] = 24
    cio_webhook_max_bytes: Annotated[int, Field(ge=1_000)] = 5_000_000
    cio_webhook_tolerance_seconds: Annotated[int, Field(ge=1)] = 8 * 86_400
    cio_webhook_commit_seconds: Annotated[float, Field(gt=0, le=2)] = 0.05
    cio_webhook_handlers: str = ""
    cio_gateway_tokens: Path | None = None
    cio_gateway_google_audience: str | None = None
    cio_gateway_max_bytes: Annotated[int, Field(ge=1_000)] = 4_000_000
    cio_gateway_keep_hours: Annotated[float, Field(ge=0)] = 24
    cio_sensor_requests: Annotated[int, Field(ge=4)] = REQUESTS
    cio_worker_identify: Count = 10
    cio_worker_track: Count = 10
    cio_worker_transactional: Count = 5
    cio_worker_broadcast: Count = 1
    cio_worker_linger_seconds: Annotated[float, Field(ge=0, le=10)] = 0.05
    cio_worker_lease_seconds: Annotated[float, Field(ge=5)] = 60.0
    cio_worker_drain_seconds: Annotated[float, Field(gt=0)] = 25.0
    cio_message_attempts: Annotated[int, Field(ge=1)] = 3
    cio_resend_unknown: bool = False
    cio_max_dead_letters: Count = 1_000
    cio_dead_letter_hours: Annotated[float, Field(gt=0)] = 72
    cio_queue_stall_minutes: Annotated[float, Field(gt=0)] = 15
    cio_alert_webhook_url: SecretStr | None = None
    cio_alert_smtp_url: SecretStr | None = None
    cio_alert_email_from: str | None = None
    cio_alert_email_to: str | None = None
    cio_alert_remind_hours: Annotated[float, Field(gt=0)] = 6
    cio_dagster_url: str | None = None
    cio_secret_look_seconds: Annotated[float, Field(gt=0)] = 30
    cio_sync_cron: str = "*/15 * * * *"
    cio_full_sync_cron: str = "30 3 * * *"

    @field_validator("warehouse_url")
    @classmethod
    def _names_an_engine(cls, url: str) -> str:
        try:
            parse_url(url)
        except WarehouseUnavailable as error:
            raise ValueError(f"{error.message} {error.remedy}") from None
        return url

    @field_validator("landing_url", "landing_exports_url")
    @classmethod
    def _names_a_landing_zone(cls, url: str | None) -> str | None:
        if url is not None and re.match(r"file:///.|gs://[^/]", url) is None:
            raise ValueError("it is neither file:///absolute/folder nor gs://bucket/prefix")
        return url

    @field_validator("cio_alert_webhook_url")
    @classmethod
    def _is_a_web_address(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and re.match(r"https?://[^/]", url.get_secret_value()) is None:
            raise ValueError("it is no https:// address")
        return url

    @field_validator("cio_alert_smtp_url")
    @classmethod
    def _is_a_mail_server(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and re.match(r"smtps?://[^/]", url.get_secret_value()) is None:
            raise ValueError("it is neither smtp://user:password@host:587 nor smtps://…")
        return url

    @property
    def is_sandboxed(self) -> bool:
        """Whether nothing says which Customer.io is meant, so that `local` means the sandbox."""
        unnamed = self.customerio_site_id is None and self.customerio_track_api_key is None
        return self.cio_env == "local" and unnamed

    @property
    def is_embedded(self) -> bool:
        """Whether the warehouse is a file that one process at a time can open."""
        return self.engine == "duckdb"

    @property
    def warehouse_location(self) -> WarehouseUrl:
        """WAREHOUSE_URL, understood."""
        return parse_url(self.warehouse_url)

    @property
    def engine(self) -> Engine:
        """Which database the warehouse is."""
        return self.warehouse_location.engine

    @property
    def track_url(self) -> str | None:
        """Where the Track API is, when not at Customer.io's own host of the region."""
        if self.customerio_track_url is None and self.is_sandboxed:
            return f"http://127.0.0.1:{SANDBOX_PORT}"
        return self.customerio_track_url

    @property
    def workspace(self) -> str:
        """The name under which the state keeps what this workspace was sent.

        CUSTOMERIO_WORKSPACE, else the Site ID, marked when the requests go to another host than
        Customer.io's: a snapshot made against a sandbox is never taken for production's.
        """
        if self.customerio_workspace is not None:
            return self.customerio_workspace
        site_id, _ = self.track_credentials()
        return site_id if self.track_url is None else f"sandbox:{site_id}"

    def track_credentials(self) -> tuple[str, str]:
        """Site ID and Track API key. Raises SettingsError when one is missing."""
        if self.is_sandboxed:
            return "sandbox-site", "sandbox-key"
        if self.customerio_site_id is None:
            raise _missing("CUSTOMERIO_SITE_ID", "the Site ID of your workspace's Track API credentials")
        if self.customerio_track_api_key is None:
            raise _missing("CUSTOMERIO_TRACK_API_KEY", "the key that belongs to CUSTOMERIO_SITE_ID")
        return self.customerio_site_id, self.customerio_track_api_key.get_secret_value()

    def webhook_signing_keys(self) -> tuple[str, ...]:
        """The keys that a webhook may be signed with, by commas; more than one while a key is changed.

        Raises SettingsError when there is none.
        """
        if self.customerio_webhook_signing_key is None:
            if self.is_sandboxed:
                return (SANDBOX_SIGNING_KEY,)
            raise _missing(
                "CUSTOMERIO_WEBHOOK_SIGNING_KEY",
                "the signing key that Customer.io shows for the reporting webhook",
            )
        given = self.customerio_webhook_signing_key.get_secret_value().split(",")
        keys = tuple(key.strip() for key in given if key.strip())
        if not keys:
            raise _missing("CUSTOMERIO_WEBHOOK_SIGNING_KEY", "a signing key, or several by commas")
        if any("\ud800" <= character <= "\udfff" for key in keys for character in key):
            raise SettingsError(
                "CUSTOMERIO_WEBHOOK_SIGNING_KEY is not UTF-8. Set it to the text that Customer.io shows."
            )
        return keys

    def alert_channels(self) -> tuple[Channel, ...]:
        """Where alerts go; empty when they are off. Raises SettingsError for e-mail without addresses."""
        channels: list[Channel] = []
        if self.cio_alert_webhook_url is not None:
            channels.append(WebhookChannel(self.cio_alert_webhook_url.get_secret_value()))
        if self.cio_alert_smtp_url is not None:
            if self.cio_alert_email_from is None:
                raise _missing("CIO_ALERT_EMAIL_FROM", "the address that alerts come from")
            to = tuple(each.strip() for each in (self.cio_alert_email_to or "").split(",") if each.strip())
            if not to:
                raise _missing("CIO_ALERT_EMAIL_TO", "the addresses that alerts go to, by commas")
            url = self.cio_alert_smtp_url.get_secret_value()
            channels.append(EmailChannel(url, self.cio_alert_email_from, to))
        return tuple(channels)

    def landing_zone(self) -> LandingZone:
        """Where webhooks are kept until the warehouse has them. Raises LandingUnavailable."""
        return LandingZone(self.landing_url)

    def exports_zone(self) -> LandingZone:
        """Where Customer.io writes its storage exports to. Raises LandingUnavailable."""
        return LandingZone(self.landing_exports_url or f"{self.landing_url.rstrip('/')}/exports")

    def warehouse(self, labels: Mapping[str, str] | None = None) -> Warehouse:
        """The warehouse that WAREHOUSE_URL names. Raises WarehouseUnavailable.

        `labels` go on every job of an engine that bills, beside the environment.
        """
        return open_warehouse(
            self.warehouse_url,
            memory_limit=self.warehouse_memory_limit,
            threads=self.warehouse_threads,
            maximum_bytes_billed=self.warehouse_max_bytes_billed,
            labels={"environment": self.cio_env, **(labels or {})},
            bigquery_client=self._bigquery_client if self.engine == "bigquery" else None,
        )

    @contextmanager
    def _bigquery_client(self) -> Generator[bigquery.Client]:
        # two seconds of imports that only BigQuery's users shall wait for
        from dagster_gcp import BigQueryResource

        place = self.warehouse_location
        with BigQueryResource(project=place.project, location=place.location).get_client() as client:
            self._demand_own_dataset(client, f"{place.project}.{place.dataset}")
            yield client

    def _demand_own_dataset(self, client: bigquery.Client, dataset: str) -> None:
        from google.api_core.exceptions import Forbidden, NotFound

        if (dataset, self.cio_env) in _OWN_DATASETS:
            return
        try:
            labels = client.get_dataset(dataset).labels
        except NotFound:
            return  # it is made later, by us
        except Forbidden:
            return  # the first statement says which right is missing
        if refusal := refused_dataset(self.cio_env, dataset, labels):
            raise SettingsError(refusal)
        _OWN_DATASETS.add((dataset, self.cio_env))

    def demand_address(self, url: str | None) -> None:
        """Raises SettingsError when this environment may not talk to that API; None is Customer.io's own."""
        if refusal := refused_address(self.cio_env, url):
            raise SettingsError(refusal)

    def track_client(self, retry: RetryPolicy | None = None) -> TrackClient:
        """A client of the workspace's Track API. Raises SettingsError or ConfigurationError."""
        site_id, api_key = self.track_credentials()
        self.demand_address(self.track_url)
        return TrackClient(
            retry=retry or RetryPolicy(),
            site_id=site_id,
            api_key=api_key,
            region=self.customerio_region,
            base_url=self.track_url,
            requests_per_second=self.customerio_requests_per_second,
            max_in_flight=self.customerio_max_in_flight,
            verify=self.customerio_ca_bundle or True,
        )

    def sync_settings(self) -> SyncSettings:
        """How people are synced. Raises SettingsError when the workspace cannot be told."""
        flush_people, flush_seconds = _FLUSHES[self.engine]
        return SyncSettings(
            workspace=self.workspace,
            region=self.customerio_region,
            shared_emails_conflict=self.customerio_workspace_kind == "email_or_id",
            unsubscribe_opted_out=self.cio_opted_out == "unsubscribe",
            max_attempts=self.cio_max_attempts,
            retention_days=self.cio_retention_days,
            requests_per_second=self.customerio_requests_per_second,
            guards=GuardLimits(
                changed=Limits(self.cio_guard_changed_share, self.cio_guard_changed_people),
                suppressed=Limits(self.cio_guard_suppressed_share, self.cio_guard_suppressed_people),
                erased=Limits(self.cio_guard_erased_share, self.cio_guard_erased_people),
            ),
            push=PushSettings(
                max_in_flight=self.customerio_max_in_flight,
                flush_people=self.cio_flush_people or flush_people,
                flush_seconds=self.cio_flush_seconds or flush_seconds,
            ),
        )

    def people_sync(self, warehouse: Warehouse | None = None) -> PeopleSync:
        """The people sync of this workspace. Raises SettingsError or WarehouseUnavailable."""
        return PeopleSync(warehouse or self.warehouse(), PEOPLE, self.sync_settings(), self.track_client)

    def event_sync(self, warehouse: Warehouse | None = None) -> EventSync:
        """The event sync of this workspace. Raises SettingsError or WarehouseUnavailable."""
        return EventSync(warehouse or self.warehouse(), EVENTS, self.sync_settings(), self.track_client)

    @property
    def first_partition(self) -> datetime:
        """Start of the first daily partition, UTC."""
        start = self.cio_partitions_start
        return datetime(start.year, start.month, start.day, tzinfo=UTC)


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read and check the environment.

    Raises:
        SettingsError: a value is not valid, or a variable looks like ours and is unknown.
    """
    try:
        given = with_files(os.environ if environment is None else environment)
    except SecretFileError as error:
        raise SettingsError(str(error)) from None
    names = {name.upper(): name for name in Settings.model_fields}
    for variable in given:
        if variable.startswith(_OURS) and variable not in names and variable not in _OTHERS:
            known = [*names, *_OTHERS, *(name + SUFFIX for name in FROM_FILES)]
            near = difflib.get_close_matches(variable, known, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise SettingsError(f"{variable} is not a setting of this project.{hint} Correct or unset it.")
    # An empty variable is one that is not set, as in most shells' scripts.
    values = {field: given[name] for name, field in names.items() if given.get(name, "") != ""}
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = str(first["loc"][0]).upper()
        told = first["msg"].removeprefix("Value error, ").rstrip(".")
        raise SettingsError(f"{name} is not valid: {told}.") from None


def _missing(variable: str, meaning: str) -> SettingsError:
    return SettingsError(f"{variable} is not set. Set it to {meaning}.")
