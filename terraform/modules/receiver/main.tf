locals {
  mounted = toset(concat(values(var.secret_files), var.mounted_secrets))
}

resource "google_cloud_run_v2_service" "this" {
  name                = var.name
  location            = var.region
  deletion_protection = var.deletion_protection
  labels              = var.labels
  # reached through the load balancer only, which exposes three paths
  ingress = "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
  # Customer.io signs its requests and applications bring tokens: Google's identities are not asked for
  invoker_iam_disabled = true

  template {
    service_account                  = var.account
    timeout                          = "30s"
    max_instance_request_concurrency = 80
    labels                           = var.labels

    scaling {
      min_instance_count = 1
      max_instance_count = 10
    }

    containers {
      name  = "receiver"
      image = var.image
      args  = ["cio", "serve", "--host", "0.0.0.0", "--port", "8080"]

      ports {
        container_port = 8080
      }

      resources {
        # handlers run after the answer
        cpu_idle          = false
        startup_cpu_boost = true
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

      # files are read anew when a secret gets a version; a variable would need a new revision
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

      startup_probe {
        period_seconds    = 5
        timeout_seconds   = 4
        failure_threshold = 12
        http_get {
          path = "/readyz"
          port = 8080
        }
      }

      liveness_probe {
        period_seconds    = 15
        timeout_seconds   = 5
        failure_threshold = 4
        http_get {
          path = "/healthz"
          port = 8080
        }
      }
    }

    # Google's own: takes /metrics of the receiver to Managed Service for Prometheus
    containers {
      name       = "collector"
      image      = "us-docker.pkg.dev/cloud-ops-agents-artifacts/cloud-run-gmp-sidecar/cloud-run-gmp-sidecar:1.2.0"
      depends_on = ["receiver"]

      resources {
        limits = {
          cpu    = "1"
          memory = "256Mi"
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
