output "ip_address" {
  description = "Address for the A record of the domain."
  value       = google_compute_global_address.this.address
}

output "service" {
  description = "Name of the service, for alerts."
  value       = google_cloud_run_v2_service.this.name
}
