output "helm_values" {
  description = "Values for the official chart of Dagster."
  value = templatefile("${path.module}/values.yaml.tftpl", {
    image_repository   = jsonencode(var.image_repository)
    image_tag          = jsonencode(var.image_tag)
    database_host      = jsonencode(google_sql_database_instance.this.private_ip_address)
    database_name      = jsonencode(google_sql_database.dagster.name)
    kubernetes_account = jsonencode(local.kubernetes_account)
    environment = jsonencode(merge(
      var.environment,
      { for variable, secret in var.secret_files : variable => "/secrets/${secret}/value" },
    ))
  })
}

output "manifests" {
  description = "What the chart does not make: namespace, account and mounted secrets, for kubectl apply."
  value = templatefile("${path.module}/manifests.yaml.tftpl", {
    namespace          = jsonencode(local.namespace)
    kubernetes_account = jsonencode(local.kubernetes_account)
    google_account     = jsonencode(var.pipelines_account)
    # YAML inside YAML: the driver reads this as text
    secrets = jsonencode(yamlencode([
      for secret in local.mounted : {
        resourceName = "projects/${var.project}/secrets/${secret}/versions/latest"
        path         = "${secret}/value"
      }
    ]))
  })
}

output "cluster" {
  description = "Name of the cluster, for gcloud container clusters get-credentials --dns-endpoint."
  value       = google_container_cluster.this.name
}

output "database_instance" {
  description = "Name of the database instance, for gcloud sql users create."
  value       = google_sql_database_instance.this.name
}
