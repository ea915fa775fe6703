resource "google_storage_bucket" "this" {
  name                        = var.name
  location                    = var.location
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = var.force_destroy
  labels                      = var.labels

  versioning {
    enabled = true
  }

  soft_delete_policy {
    retention_duration_seconds = 604800
  }

  # the probe `.writable` and storage exports keep other times than webhooks
  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      age            = var.retention_days
      matches_prefix = ["customerio/webhooks/"]
    }
  }

  # erasing a person from old versions takes no longer than this
  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      days_since_noncurrent_time = 7
    }
  }

  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }
    condition {
      age = 7
    }
  }
}

# The roles of Google that let create also let list or delete.
resource "google_project_iam_custom_role" "landing_writer" {
  project     = var.project
  role_id     = "landingWriter"
  title       = "Landing zone: create objects"
  description = "Neither reads, lists, overwrites nor deletes."
  permissions = ["storage.objects.create"]
}

resource "google_storage_bucket_iam_member" "receiver" {
  bucket = google_storage_bucket.this.name
  role   = google_project_iam_custom_role.landing_writer.id
  member = "serviceAccount:${var.receiver_account}"
}

resource "google_storage_bucket_iam_member" "pipelines" {
  bucket = google_storage_bucket.this.name
  role   = "roles/storage.objectViewer"
  member = "serviceAccount:${var.pipelines_account}"
}
