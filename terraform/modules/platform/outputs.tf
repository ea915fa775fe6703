output "registry" {
  description = "Where images are pushed to."
  value       = module.registry.address
}

output "ip_address" {
  description = "Address for the A record of the domain."
  value       = module.receiver.ip_address
}

output "queue_address" {
  description = "Host and port of the queue."
  value       = module.queue.address
}

output "warehouse_url" {
  description = "WAREHOUSE_URL; the image is built with it."
  value       = module.warehouse.url
}

output "cluster" {
  description = "Name of the cluster."
  value       = module.dagster.cluster
}

output "database_instance" {
  description = "Name of the instance of Dagster's database."
  value       = module.dagster.database_instance
}

output "helm_values" {
  description = "Values for the official chart of Dagster."
  value       = module.dagster.helm_values
}

output "manifests" {
  description = "What kubectl applies before the chart."
  value       = module.dagster.manifests
}
