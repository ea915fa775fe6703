# Secrets without values: what Terraform writes stands in its state. People add versions (docs/deploying.md).
resource "google_secret_manager_secret" "this" {
  for_each = var.secrets

  secret_id           = each.key
  labels              = var.labels
  deletion_protection = var.deletion_protection
  # a version that was destroyed by mistake can be brought back for a week
  version_destroy_ttl = "604800s"

  replication {
    auto {}
  }
}

locals {
  readers = merge([
    for secret, accounts in var.secrets : {
      for name, email in accounts : "${secret}/${name}" => { secret = secret, email = email }
    }
  ]...)
}

resource "google_secret_manager_secret_iam_member" "reader" {
  for_each = local.readers

  secret_id = google_secret_manager_secret.this[each.value.secret].id
  role      = "roles/secretmanager.secretAccessor"
  member    = "serviceAccount:${each.value.email}"
}
