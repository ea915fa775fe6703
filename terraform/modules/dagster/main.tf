locals {
  namespace          = "dagster"
  kubernetes_account = "pipelines"
  mounted            = toset(concat(values(var.secret_files), var.mounted_secrets))
}

resource "google_container_cluster" "this" {
  name                = var.name
  location            = var.region
  enable_autopilot    = true
  network             = var.network_id
  subnetwork          = var.subnetwork_id
  deletion_protection = var.deletion_protection
  resource_labels     = var.labels

  release_channel {
    channel = "REGULAR"
  }

  ip_allocation_policy {
    cluster_secondary_range_name  = "pods"
    services_secondary_range_name = "services"
  }

  private_cluster_config {
    enable_private_nodes = true
  }

  # no address to attack: kubectl comes through a name of Google's, with an identity of Google's
  control_plane_endpoints_config {
    dns_endpoint_config {
      allow_external_traffic = true
    }
    ip_endpoints_config {
      enabled = false
    }
  }

  master_auth {
    client_certificate_config {
      issue_client_certificate = false
    }
  }

  workload_identity_config {
    workload_pool = "${var.project}.svc.id.goog"
  }

  # mounts secrets as files
  secret_manager_config {
    enabled = true
  }

  cluster_autoscaling {
    auto_provisioning_defaults {
      service_account = var.nodes_account
      oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]
    }
  }
}

# Pods of this Kubernetes account act as the Google account; there is no key.
resource "google_service_account_iam_member" "workload_identity" {
  service_account_id = "projects/${var.project}/serviceAccounts/${var.pipelines_account}"
  role               = "roles/iam.workloadIdentityUser"
  member             = "serviceAccount:${google_container_cluster.this.workload_identity_config[0].workload_pool}[${local.namespace}/${local.kubernetes_account}]"
}

resource "google_project_iam_member" "nodes" {
  project = var.project
  role    = "roles/container.defaultNodeServiceAccount"
  member  = "serviceAccount:${var.nodes_account}"
}
