"""What the infrastructure promises; each function yields where it is broken."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.infrastructure.provider_schema import provider_schema
from tests.infrastructure.tree import Body, resources

_PLATFORM = "modules/platform"
_PROJECT_ROLES = {
    ("modules/warehouse", "pipelines"): {"roles/bigquery.jobUser", "roles/bigquery.readSessionUser"},
    ("modules/dagster", "nodes"): {"roles/container.defaultNodeServiceAccount"},
    ("modules/platform", "receiver_metrics"): {"roles/monitoring.metricWriter"},
}
"""All that anybody may do in the whole project."""

_RESOURCE_ROLES = {
    "google_storage_bucket_iam_member": {
        "${google_project_iam_custom_role.landing_writer.id}",
        "roles/storage.objectViewer",
    },
    "google_bigquery_dataset_iam_member": {"roles/bigquery.dataEditor", "roles/bigquery.dataViewer"},
    "google_secret_manager_secret_iam_member": {"roles/secretmanager.secretAccessor"},
    "google_artifact_registry_repository_iam_member": {"roles/artifactregistry.reader"},
    "google_service_account_iam_member": {"roles/iam.workloadIdentityUser"},
}
_HOLDS_A_SECRET = re.compile(r"password|secret_data|token|private_key|api_key|credentials|auth_string")


def nothing_is_public(bodies: Mapping[str, Body]) -> Iterator[str]:
    """Data that anybody could read, and services that anybody could reach past the load balancer."""
    for folder, body in bodies.items():
        for anybody in ("allUsers", "allAuthenticatedUsers", "0.0.0.0/0"):
            if anybody in body.text:
                yield f"{folder}: {anybody} is let in"
    for where, bucket in resources(bodies, "google_storage_bucket"):
        if bucket.get("public_access_prevention") != "enforced":
            yield f"{where}: it can be made public"
        if bucket.get("uniform_bucket_level_access") is not True:
            yield f"{where}: single objects can be made public"
    for where, database in resources(bodies, "google_sql_database_instance"):
        (address,) = database["settings"][0]["ip_configuration"]
        if address.get("ipv4_enabled") is not False or address.get("ssl_mode") != "ENCRYPTED_ONLY":
            yield f"{where}: it has a public address, or takes connections without TLS"
    for where, service in resources(bodies, "google_cloud_run_v2_service"):
        if service.get("ingress") != "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER":
            yield f"{where}: it is reached without the load balancer"
    for where, queue in resources(bodies, "google_redis_instance"):
        encrypted = queue.get("transit_encryption_mode") == "SERVER_AUTHENTICATION"
        if queue.get("auth_enabled") is not True or not encrypted:
            yield f"{where}: it can be read without a password or TLS"
    for where, cluster in resources(bodies, "google_container_cluster"):
        if cluster["private_cluster_config"][0].get("enable_private_nodes") is not True:
            yield f"{where}: its nodes have public addresses"
    for where, urls in resources(bodies, "google_compute_url_map"):
        paths = [
            path
            for matcher in urls["path_matcher"]
            for rule in matcher["path_rule"]
            for path in rule["paths"]
        ]
        if set(paths) != {"/webhooks/customerio", "/v1/*"}:
            yield f"{where}: other paths than those of webhooks and gateway are exposed"


def the_landing_zone_keeps(bodies: Mapping[str, Body]) -> Iterator[str]:
    """Buckets that forget at once, or never."""
    for where, bucket in resources(bodies, "google_storage_bucket"):
        if bucket.get("versioning") != [{"enabled": True}]:
            yield f"{where}: what is deleted is gone"
        rules = bucket.get("lifecycle_rule", [])
        if not any("days_since_noncurrent_time" in rule["condition"][0] for rule in rules):
            yield f"{where}: old versions are kept for ever"
        if not any(
            "age" in rule["condition"][0] and "matches_prefix" in rule["condition"][0] for rule in rules
        ):
            yield f"{where}: landed webhooks are kept for ever"


def no_secret_is_written_down(bodies: Mapping[str, Body]) -> Iterator[str]:
    """Values of secrets in the files, or that Terraform would write into its state."""
    for folder, body in bodies.items():
        for type_, name in body.resources:
            if type_ in ("google_secret_manager_secret_version", "google_sql_user", "random_password"):
                yield f"{folder}: {type_}.{name} puts a secret into the state"
        for name in body.variables:
            if _HOLDS_A_SECRET.search(name):
                yield f"{folder}: variable {name} takes a secret"
        for (type_, name), block in body.resources.items():
            for argument in _arguments(block):
                if _HOLDS_A_SECRET.search(argument) and argument != "query_string_length":
                    yield f"{folder}: {type_}.{name} sets {argument}"
        for called in body.modules.values():
            for variable in called:
                if _HOLDS_A_SECRET.search(variable):
                    yield f"{folder}: a module is given {variable}"
    for account, environment in bodies[_PLATFORM].locals["environments"].items():
        for variable in environment:
            if re.search(r"KEY|URL_FILE|TOKEN|SITE_ID|QUEUE_URL|ALERT", variable):
                yield f"{_PLATFORM}: {account} is given {variable} in plain text"


def secrets_have_exactly_their_readers(bodies: Mapping[str, Body]) -> Iterator[str]:
    """Accounts that may read what they do not use, or use what they may not read."""
    held = bodies[_PLATFORM].locals
    used: dict[str, set[str]] = {secret: set() for secret in held["secret_readers"]}
    for part in ("secret_files", "mounted_secrets"):
        for account, secrets in held[part].items():
            for secret in secrets.values() if isinstance(secrets, dict) else secrets:
                if secret not in used:
                    yield f"{_PLATFORM}: {account} uses {secret}, which is not made"
                    continue
                used[secret].add(account)
    for secret, readers in held["secret_readers"].items():
        for account in set(readers) - used[secret]:
            yield f"{_PLATFORM}: {account} may read {secret} and does not use it"
        for account in used[secret] - set(readers):
            yield f"{_PLATFORM}: {account} uses {secret} and may not read it"
        if not used[secret]:
            yield f"{_PLATFORM}: nobody uses {secret}"
    for part in ("secret_files", "mounted_secrets", "environments"):
        given = {name: bodies[_PLATFORM].modules[name] for name in ("receiver", "worker", "dagster")}
        argument = part.removesuffix("s") if part == "environments" else part
        for name, call in given.items():
            account = "pipelines" if name == "dagster" else name
            if call[argument] != f"${{local.{part}.{account}}}":
                yield f"{_PLATFORM}: module {name} is not given the {part} of {account}"


def rights_are_least(bodies: Mapping[str, Body]) -> Iterator[str]:
    """Keys, and roles beyond those that were thought about."""
    for folder, body in bodies.items():
        for (type_, name), block in body.resources.items():
            where = f"{folder}: {type_}.{name}"
            if type_ == "google_service_account_key":
                yield f"{where}: an account has a key"
            elif type_ == "google_project_iam_member":
                each = re.findall(r"roles/[\w.]+", str(block.get("for_each", "")))
                given = set(each) if block["role"] == "${each.key}" else {block["role"]}
                for role in given - _PROJECT_ROLES.get((folder, name), set()):
                    yield f"{where}: {role} in the whole project"
            elif type_ == "google_project_iam_custom_role":
                if block["permissions"] != ["storage.objects.create"]:
                    yield f"{where}: the receiver may do more than create objects"
            elif re.search(r"_iam_(?:member|binding|policy)$", type_) and (
                block.get("role") not in _RESOURCE_ROLES.get(type_, set())
            ):
                yield f"{where}: {block.get('role')} is not among the roles that are needed"
    writers = {
        block["role"]: block["member"] for _, block in resources(bodies, "google_storage_bucket_iam_member")
    }
    if (
        writers.get("${google_project_iam_custom_role.landing_writer.id}")
        != "serviceAccount:${var.receiver_account}"
    ):
        yield "modules/landing: somebody else than the receiver writes"
    for name in ("receiver", "worker"):
        account = bodies[_PLATFORM].modules[name]["account"]
        if account != f'${{google_service_account.this["{name}"].email}}':
            yield f"{_PLATFORM}: {name} does not run as its own account"
    for kind in ("google_cloud_run_v2_service", "google_cloud_run_v2_worker_pool"):
        for where, service in resources(bodies, kind):
            if service["template"][0].get("service_account") != "${var.account}":
                yield f"{where}: it runs as the project's default account"


def the_receiver_is_sized(bodies: Mapping[str, Body]) -> Iterator[str]:
    """One to ten instances of one CPU and 512 MiB, looked at by its own probes."""
    for where, service in resources(bodies, "google_cloud_run_v2_service"):
        (template,) = service["template"]
        if template["scaling"] != [{"min_instance_count": 1, "max_instance_count": 10}]:
            yield f"{where}: it does not run with one to ten instances"
        receiver = template["containers"][0]
        if receiver["resources"][0]["limits"] != {"cpu": "1", "memory": "512Mi"}:
            yield f"{where}: it has another size"
        probes = {
            kind: receiver[kind][0]["http_get"][0]["path"] for kind in ("startup_probe", "liveness_probe")
        }
        if probes != {"startup_probe": "/readyz", "liveness_probe": "/healthz"}:
            yield f"{where}: its probes ask elsewhere"


def production_is_protected(bodies: Mapping[str, Body]) -> Iterator[str]:
    """What holds data and could be deleted by an apply."""
    call = bodies["environments/prod"].modules["platform"]
    if (call["environment"], call["protected"], call["highly_available"]) != ("prod", True, True):
        yield "environments/prod: it is not protected, or has nothing in reserve"
    for folder, body in bodies.items():
        for (type_, name), block in body.resources.items():
            known = provider_schema().types[provider_schema().resources[type_]]
            if (
                "deletion_protection" in known
                and block.get("deletion_protection") != "${var.deletion_protection}"
            ):
                yield f"{folder}: {type_}.{name} is not protected where the environment is"
    for name, call in bodies[_PLATFORM].modules.items():
        given = {
            "deletion_protection": "${var.protected}",
            "force_destroy": "${!var.protected}",
            "delete_contents_on_destroy": "${!var.protected}",
        }
        for argument, value in given.items():
            if argument in bodies[f"modules/{name}"].variables and call.get(argument) != value:
                yield f"{_PLATFORM}: module {name} is not protected where the environment is"
    for where, database in resources(bodies, "google_sql_database_instance"):
        (backup,) = database["settings"][0]["backup_configuration"]
        if not (backup.get("enabled") is True and backup.get("point_in_time_recovery_enabled") is True):
            yield f"{where}: it has no backups"


def logs_expire(bodies: Mapping[str, Body]) -> Iterator[str]:
    """Datasets of logs that grow for ever, and tables with two owners."""
    (logs,) = (b for w, b in resources(bodies, "google_bigquery_dataset") if w.endswith(".logs"))
    if logs.get("default_partition_expiration_ms") != "${86400000 * var.log_retention_days}":
        yield "modules/warehouse: logs are kept for ever"
    (sink,) = (block for _, block in resources(bodies, "google_logging_project_sink"))
    if sink.get("bigquery_options") != [{"use_partitioned_tables": True}]:
        yield "modules/warehouse: tables of logs have no partitions that could expire"
    for where, _ in resources(bodies, "google_bigquery_table"):
        yield f"{where}: tables are the code's"


def environments_are_apart(bodies: Mapping[str, Body]) -> Iterator[str]:
    """Three environments, of which one is production, with nothing of their own but numbers."""
    given = {
        folder: body.modules["platform"]
        for folder, body in bodies.items()
        if folder.startswith("environments/")
    }
    kinds = {folder.partition("/")[2]: call["environment"] for folder, call in given.items()}
    if kinds != {"dev": "staging", "staging": "staging", "prod": "prod"}:
        yield f"environments are {kinds}"
    for folder, call in given.items():
        for name in ("project", "customerio_workspace"):
            if call[name] != f"${{var.{name}}}":
                yield f"{folder}: {name} is not the environment's own"


def _arguments(block: Any) -> Iterator[str]:
    if isinstance(block, dict):
        for name, value in block.items():
            yield name
            yield from _arguments(value)
    elif isinstance(block, list):
        for each in block:
            yield from _arguments(each)
