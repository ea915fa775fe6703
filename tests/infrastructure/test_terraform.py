"""Every promise of the infrastructure holds, and is missed when it is broken."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.infrastructure import promises, shape
from tests.infrastructure.conftest import TERRAFORM, Change
from tests.infrastructure.tree import Body

Promise = Callable[[Mapping[str, Body]], Iterator[str]]

_PLATFORM = "modules/platform/main.tf"
_SETTINGS = "modules/platform/settings.tf"
_BUCKET = "modules/landing/main.tf"
_RECEIVER = "modules/receiver/main.tf"
_SECRETS = "modules/secrets/main.tf"
_DATABASE = "modules/dagster/database.tf"

_BREACHES: dict[Promise, list[tuple[Change, str]]] = {
    shape.arguments: [
        ((_SECRETS, "auto {}", "automatic = true"), "automatic is unknown"),
        ((_SECRETS, "  secret_id           = each.key\n", ""), "secret_id is missing"),
        ((_BUCKET, "versioning {", "versioning = {"), "versioning is a block"),
        (
            (_BUCKET, 'resource "google_storage_bucket" "this"', 'resource "google_bucket" "this"'),
            "no resource",
        ),
        (
            (
                _RECEIVER,
                "content {\n          name  = env.key\n          value = env.value\n",
                "content {\n          value = env.value\n",
            ),
            "name is missing",
        ),
    ],
    shape.references: [
        (("modules/queue/main.tf", "var.memory_size_gb", "var.memory"), "var.memory is not declared"),
        (("modules/queue/main.tf", "var.memory_size_gb", "1"), "variable memory_size_gb is not used"),
        (
            (_PLATFORM, "module.network.network_id\n  memory", "module.network.network\n  memory"),
            "no output network",
        ),
        (("environments/prod/main.tf", "  workers                = 2\n", ""), "lacks workers"),
        (
            (
                _BUCKET,
                'bucket = google_storage_bucket.this.name\n  role   = "roles',
                'bucket = google_storage_bucket.that.name\n  role   = "roles',
            ),
            "that is not there",
        ),
    ],
    shape.descriptions: [
        (
            ("modules/queue/variables.tf", 'description = "Name of the instance."', 'description = ""'),
            "variable name",
        ),
    ],
    shape.versions: [
        (("environments/prod/versions.tf", '"6.50.0"', '">= 6"'), "not pinned"),
        (("environments/prod/versions.tf", '"cio-pipelines/prod"', '"cio-pipelines/dev"'), "own name"),
    ],
    promises.nothing_is_public: [
        ((_BUCKET, '"enforced"', '"inherited"'), "made public"),
        (
            (_BUCKET, "uniform_bucket_level_access = true", "uniform_bucket_level_access = false"),
            "single objects",
        ),
        ((_BUCKET, '"serviceAccount:${var.pipelines_account}"', '"allUsers"'), "allUsers"),
        ((_DATABASE, "ipv4_enabled    = false", "ipv4_enabled    = true"), "public address"),
        (
            (_RECEIVER, "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER", "INGRESS_TRAFFIC_ALL"),
            "without the load balancer",
        ),
        (("modules/receiver/exposure.tf", '"/v1/*"]', '"/v1/*", "/metrics"]'), "other paths"),
        (
            ("modules/queue/main.tf", "auth_enabled            = true", "auth_enabled            = false"),
            "password",
        ),
        (("modules/dagster/main.tf", "enable_private_nodes = true", "enable_private_nodes = false"), "nodes"),
    ],
    promises.the_landing_zone_keeps: [
        ((_BUCKET, "    enabled = true", "    enabled = false"), "is gone"),
        ((_BUCKET, "      days_since_noncurrent_time = 7", "      num_newer_versions = 7"), "old versions"),
        ((_BUCKET, '      matches_prefix = ["customerio/webhooks/"]\n', ""), "kept for ever"),
    ],
    promises.no_secret_is_written_down: [
        (
            (
                _SETTINGS,
                "CUSTOMERIO_WORKSPACE = var",
                'CUSTOMERIO_TRACK_API_KEY = "k"\n      CUSTOMERIO_WORKSPACE = var',
            ),
            "plain text",
        ),
        ((_DATABASE, "    tier  ", '    root_password = "x"\n    tier  '), "root_password"),
        (("modules/queue/variables.tf", 'variable "region"', 'variable "password"'), "takes a secret"),
        (
            (_DATABASE, 'resource "google_sql_database" "dagster"', 'resource "google_sql_user" "dagster"'),
            "into the state",
        ),
    ],
    promises.secrets_have_exactly_their_readers: [
        (
            (
                _SETTINGS,
                'gateway-tokens                 = ["receiver"]',
                'gateway-tokens                 = ["receiver", "worker"]',
            ),
            "worker may read gateway-tokens and does not use it",
        ),
        (
            (
                _SETTINGS,
                'customerio-webhook-signing-key = ["receiver"]',
                'customerio-webhook-signing-key = ["worker"]',
            ),
            "receiver uses customerio-webhook-signing-key and may not",
        ),
        (
            (_SETTINGS, '      CIO_GATEWAY_TOKENS                  = "gateway-tokens"\n', ""),
            "nobody uses gateway-tokens",
        ),
        (
            (
                _PLATFORM,
                "secret_files        = local.secret_files.worker",
                "secret_files        = local.secret_files.pipelines",
            ),
            "not given the secret_files of worker",
        ),
    ],
    promises.rights_are_least: [
        (
            (
                "modules/warehouse/main.tf",
                '"roles/bigquery.jobUser",',
                '"roles/bigquery.jobUser", "roles/bigquery.admin",',
            ),
            "bigquery.admin in the whole",
        ),
        (
            (_BUCKET, '["storage.objects.create"]', '["storage.objects.create", "storage.objects.delete"]'),
            "more than create",
        ),
        ((_BUCKET, '"roles/storage.objectViewer"', '"roles/storage.objectAdmin"'), "objectAdmin"),
        (
            (
                _PLATFORM,
                'resource "google_project_service" "this" {',
                'resource "google_service_account_key" "this" {\n  service_account_id = "x"\n}\n\n'
                'resource "google_project_service" "this" {',
            ),
            "has a key",
        ),
        (("modules/worker/main.tf", "    service_account = var.account\n", ""), "default account"),
        (
            (_SECRETS, "roles/secretmanager.secretAccessor", "roles/secretmanager.admin"),
            "not among the roles",
        ),
    ],
    promises.the_receiver_is_sized: [
        ((_RECEIVER, "min_instance_count = 1", "min_instance_count = 0"), "one to ten"),
        ((_RECEIVER, "max_instance_count = 10", "max_instance_count = 100"), "one to ten"),
        ((_RECEIVER, '"512Mi"', '"2Gi"'), "another size"),
        ((_RECEIVER, '"/healthz"', '"/"'), "ask elsewhere"),
    ],
    promises.production_is_protected: [
        (
            ("environments/prod/main.tf", "protected              = true", "protected              = false"),
            "not protected",
        ),
        (
            (
                _DATABASE,
                "  deletion_protection = var.deletion_protection\n\n",
                "  deletion_protection = false\n\n",
            ),
            "google_sql_database_instance",
        ),
        (
            ("modules/secrets/main.tf", "  deletion_protection = var.deletion_protection\n", ""),
            "google_secret_manager_secret",
        ),
        ((_PLATFORM, "force_destroy     = !var.protected", "force_destroy     = true"), "module landing"),
        (
            (
                _DATABASE,
                "      enabled                        = true",
                "      enabled                        = false",
            ),
            "no backups",
        ),
    ],
    promises.logs_expire: [
        (
            (
                "modules/warehouse/main.tf",
                "  default_partition_expiration_ms = 86400000 * var.log_retention_days\n",
                "",
            ),
            "for ever",
        ),
        (
            ("modules/warehouse/main.tf", "use_partitioned_tables = true", "use_partitioned_tables = false"),
            "no partitions",
        ),
    ],
    promises.environments_are_apart: [
        (("environments/dev/main.tf", '"staging"', '"prod"'), "environments are"),
        (("environments/dev/main.tf", "= var.project", '= "company-prod"'), "project is not"),
    ],
}


@pytest.mark.parametrize("promise", _BREACHES, ids=lambda each: each.__name__)
def test_the_infrastructure_keeps_its_promise(promise: Promise, bodies: Mapping[str, Body]) -> None:
    assert list(promise(bodies)) == []


@pytest.mark.parametrize(
    ("promise", "change", "told"),
    [
        pytest.param(promise, change, told, id=f"{promise.__name__}-{number}")
        for promise, breaches in _BREACHES.items()
        for number, (change, told) in enumerate(breaches)
    ],
)
def test_a_broken_promise_is_found(
    promise: Promise, change: Change, told: str, changed: Callable[[Change], dict[str, Body]]
) -> None:
    findings = list(promise(changed(change)))
    assert any(told in finding for finding in findings), findings


def test_files_are_formatted() -> None:
    terraform = shutil.which("terraform")
    if terraform is None:
        pytest.skip("there is no terraform on PATH, which formats the files")
    done = subprocess.run(
        [terraform, "fmt", "-check", "-recursive", "-list=true", TERRAFORM],
        capture_output=True,
        text=True,
        env={**os.environ, "CHECKPOINT_DISABLE": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_examples_of_variables_name_exactly_those_that_are_asked_for(bodies: Mapping[str, Body]) -> None:
    for name in ("dev", "staging", "prod"):
        folder = f"environments/{name}"
        example = (TERRAFORM / folder / "terraform.tfvars.example").read_text(encoding="utf-8")
        given = {line.partition("=")[0].strip() for line in example.splitlines() if "=" in line}
        asked = {variable for variable, block in bodies[folder].variables.items() if "default" not in block}
        assert given == asked, folder


def test_state_and_values_of_variables_are_not_committed() -> None:
    ignored = [
        "terraform/environments/prod/terraform.tfvars",
        "terraform/environments/prod/terraform.tfstate",
    ]
    done = subprocess.run(
        ["git", "check-ignore", *ignored], cwd=Path(TERRAFORM).parent, capture_output=True, text=True
    )
    assert done.stdout.split() == ignored
