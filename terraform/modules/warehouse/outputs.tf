output "url" {
  description = "WAREHOUSE_URL."
  value       = "bigquery://${var.project}/${google_bigquery_dataset.written[var.models_dataset].dataset_id}?location=${var.location}"
}
