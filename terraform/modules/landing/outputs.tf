output "url" {
  description = "LANDING_URL."
  value       = "gs://${google_storage_bucket.this.name}/customerio"
}
