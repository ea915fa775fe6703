locals {
  name   = "cio-pipelines"
  labels = { app = "cio-pipelines", environment = var.environment }
  image  = "${module.registry.address}/${local.name}:${var.image_tag}"

  services = toset([
    "artifactregistry.googleapis.com", "bigquery.googleapis.com", "bigquerystorage.googleapis.com",
    "compute.googleapis.com", "container.googleapis.com", "iam.googleapis.com", "logging.googleapis.com",
    "monitoring.googleapis.com", "redis.googleapis.com", "run.googleapis.com", "secretmanager.googleapis.com",
    "servicenetworking.googleapis.com", "sqladmin.googleapis.com",
  ])

  accounts = {
    receiver  = "Takes what Customer.io reports, and messages of applications."
    worker    = "Delivers messages to Customer.io."
    pipelines = "Dagster's code location and its runs."
    nodes     = "Nodes of the cluster: logs, metrics, images."
  }
}

resource "google_project_service" "this" {
  for_each = local.services

  service            = each.key
  disable_on_destroy = false
}

# None has a key: Cloud Run and Workload Identity lend them.
resource "google_service_account" "this" {
  for_each = local.accounts

  account_id  = "cio-${each.key}"
  description = each.value
  depends_on  = [google_project_service.this]
}

# the collector beside the receiver writes its metrics
resource "google_project_iam_member" "receiver_metrics" {
  project = var.project
  role    = "roles/monitoring.metricWriter"
  member  = google_service_account.this["receiver"].member
}

module "secrets" {
  source = "../secrets"

  secrets = {
    for id, readers in local.secret_readers : id => {
      for reader in readers : reader => google_service_account.this[reader].email
    }
  }
  deletion_protection = var.protected
  labels              = local.labels
}

module "network" {
  source = "../network"

  name       = local.name
  region     = var.region
  depends_on = [google_project_service.this]
}

module "registry" {
  source = "../registry"

  name   = local.name
  region = var.region
  # Cloud Run pulls with an agent of its own, which may read every repository of its project
  readers = { nodes = google_service_account.this["nodes"].email }
  labels  = local.labels
}

module "warehouse" {
  source = "../warehouse"

  project                    = var.project
  location                   = var.data_location
  models_dataset             = var.models_dataset
  pipelines_account          = google_service_account.this["pipelines"].email
  log_retention_days         = var.log_retention_days
  delete_contents_on_destroy = !var.protected
  labels                     = local.labels
}

module "landing" {
  source = "../landing"

  name              = "${var.project}-customerio-landing"
  project           = var.project
  location          = var.data_location
  receiver_account  = google_service_account.this["receiver"].email
  pipelines_account = google_service_account.this["pipelines"].email
  retention_days    = var.landing_retention_days
  force_destroy     = !var.protected
  labels            = local.labels
}

module "queue" {
  source = "../queue"

  name             = local.name
  region           = var.region
  network_id       = module.network.network_id
  memory_size_gb   = var.queue_memory_gb
  highly_available = var.highly_available
  labels           = local.labels
}

module "receiver" {
  source = "../receiver"

  name                = "cio-receiver"
  region              = var.region
  image               = local.image
  account             = google_service_account.this["receiver"].email
  environment         = local.environments.receiver
  secret_files        = local.secret_files.receiver
  mounted_secrets     = local.mounted_secrets.receiver
  subnetwork_id       = module.network.subnetwork_id
  domain              = var.domain
  deletion_protection = var.protected
  labels              = local.labels
  depends_on          = [module.secrets]
}

module "worker" {
  source = "../worker"

  name                = "cio-worker"
  region              = var.region
  image               = local.image
  account             = google_service_account.this["worker"].email
  environment         = local.environments.worker
  secret_files        = local.secret_files.worker
  mounted_secrets     = local.mounted_secrets.worker
  subnetwork_id       = module.network.subnetwork_id
  instances           = var.workers
  deletion_protection = var.protected
  labels              = local.labels
  depends_on          = [module.secrets]
}

module "dagster" {
  source = "../dagster"

  name                = local.name
  project             = var.project
  region              = var.region
  network_id          = module.network.network_id
  subnetwork_id       = module.network.subnetwork_id
  nodes_account       = google_service_account.this["nodes"].email
  pipelines_account   = google_service_account.this["pipelines"].email
  image_repository    = "${module.registry.address}/${local.name}"
  image_tag           = var.image_tag
  environment         = local.environments.pipelines
  secret_files        = local.secret_files.pipelines
  mounted_secrets     = local.mounted_secrets.pipelines
  database_tier       = var.database_tier
  highly_available    = var.highly_available
  deletion_protection = var.protected
  labels              = local.labels
}

module "alerts" {
  source = "../alerts"

  project               = var.project
  notification_channels = var.notification_channels
  sync_silence_minutes  = 60
  labels                = local.labels
  depends_on            = [google_project_service.this]
}
