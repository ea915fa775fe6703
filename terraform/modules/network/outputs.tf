output "network_id" {
  description = "The network; known when private services can be reached from it."
  value       = google_compute_network.this.id
  depends_on  = [google_service_networking_connection.private_services]
}

output "subnetwork_id" {
  description = "The subnetwork of services and cluster."
  value       = google_compute_subnetwork.this.id
}
