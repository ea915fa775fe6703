# Datasets are Terraform's: their place, their readers, their expiry. Tables are the code's, which makes and migrates
# them (docs/adr: who owns a table). `app` belongs to whoever loads the application's tables, and is only read.
locals {
  written = {
    (var.models_dataset) = "dbt's models, the mart of people among them."
    customerio_sync      = "What was synced: snapshot, plans, ledger, dead letters."
    customerio           = "What Customer.io reported."
    customerio_staging   = "Rows on their way."
    snapshots            = "dbt's history of consent."
  }
}

resource "google_bigquery_dataset" "written" {
  for_each = local.written

  dataset_id                 = each.key
  description                = each.value
  location                   = var.location
  delete_contents_on_destroy = var.delete_contents_on_destroy
  # rows on their way stay when a process dies
  default_table_expiration_ms = each.key == "customerio_staging" ? 86400000 * 7 : null
  labels                      = var.labels
}

resource "google_bigquery_dataset" "app" {
  dataset_id                 = "app"
  description                = "The application's users and orders, loaded by their owner."
  location                   = var.location
  delete_contents_on_destroy = var.delete_contents_on_destroy
  labels                     = var.labels
}

# Cloud Logging makes the tables in here, partitioned by day, as it sees a log first.
resource "google_bigquery_dataset" "logs" {
  dataset_id                      = "service_logs"
  description                     = "Logs of receiver, worker and runs; hold no personal data."
  location                        = var.location
  default_partition_expiration_ms = 86400000 * var.log_retention_days
  delete_contents_on_destroy      = true
  labels                          = var.labels
}

resource "google_logging_project_sink" "services" {
  name                   = "service-logs"
  destination            = "bigquery.googleapis.com/${google_bigquery_dataset.logs.id}"
  filter                 = "resource.type=(\"cloud_run_revision\" OR \"cloud_run_worker_pool\" OR \"k8s_container\") AND severity>=INFO"
  unique_writer_identity = true

  bigquery_options {
    use_partitioned_tables = true
  }
}

resource "google_bigquery_dataset_iam_member" "log_writer" {
  dataset_id = google_bigquery_dataset.logs.dataset_id
  role       = "roles/bigquery.dataEditor"
  member     = google_logging_project_sink.services.writer_identity
}

resource "google_bigquery_dataset_iam_member" "writer" {
  for_each = local.written

  dataset_id = google_bigquery_dataset.written[each.key].dataset_id
  role       = "roles/bigquery.dataEditor"
  member     = "serviceAccount:${var.pipelines_account}"
}

resource "google_bigquery_dataset_iam_member" "reader" {
  dataset_id = google_bigquery_dataset.app.dataset_id
  role       = "roles/bigquery.dataViewer"
  member     = "serviceAccount:${var.pipelines_account}"
}

# Making datasets is not among them: they are here already.
resource "google_project_iam_member" "pipelines" {
  for_each = toset(["roles/bigquery.jobUser", "roles/bigquery.readSessionUser"])

  project = var.project
  role    = each.key
  member  = "serviceAccount:${var.pipelines_account}"
}
