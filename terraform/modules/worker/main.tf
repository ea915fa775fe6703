locals {
  mounted = toset(concat(values(var.secret_files), var.mounted_secrets))
}

# A service of Cloud Run has to listen; a worker pool need not.
resource "google_cloud_run_v2_worker_pool" "this" {
  name                = var.name
  location            = var.region
  deletion_protection = var.deletion_protection
  launch_stage        = "BETA"
  labels              = var.labels

  scaling {
    scaling_mode          = "MANUAL"
    manual_instance_count = var.instances
  }

  template {
    service_account = var.account
    labels          = var.labels

    containers {
      name  = "worker"
      image = var.image
      args  = ["cio", "worker"]

      resources {
        limits = {
          cpu    = "1"
          memory = "512Mi"
        }
      }

      dynamic "env" {
        for_each = var.environment
        content {
          name  = env.key
          value = env.value
        }
      }

      dynamic "env" {
        for_each = var.secret_files
        content {
          name  = env.key
          value = "/secrets/${env.value}/value"
        }
      }

      dynamic "volume_mounts" {
        for_each = local.mounted
        content {
          name       = volume_mounts.key
          mount_path = "/secrets/${volume_mounts.key}"
        }
      }
    }

    dynamic "volumes" {
      for_each = local.mounted
      content {
        name = volumes.key
        secret {
          secret       = volumes.key
          default_mode = 292 # 0444
          items {
            path    = "value"
            version = "latest"
          }
        }
      }
    }

    vpc_access {
      egress = "PRIVATE_RANGES_ONLY"
      network_interfaces {
        subnetwork = var.subnetwork_id
      }
    }
  }
}
