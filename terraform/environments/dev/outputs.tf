output "registry" {
  description = "Where images are pushed to."
  value       = module.platform.registry
}

output "ip_address" {
  description = "Address for the A record of the domain."
  value       = module.platform.ip_address
}

output "queue_address" {
  description = "Host and port of the queue."
  value       = module.platform.queue_address
}

output "warehouse_url" {
  description = "WAREHOUSE_URL; the image is built with it."
  value       = module.platform.warehouse_url
}

output "cluster" {
  description = "Name of the cluster."
  value       = module.platform.cluster
}

output "database_instance" {
  description = "Name of the instance of Dagster's database."
  value       = module.platform.database_instance
}

output "helm_values" {
  description = "Values for the official chart of Dagster."
  value       = module.platform.helm_values
}

output "manifests" {
  description = "What kubectl applies before the chart."
  value       = module.platform.manifests
}
