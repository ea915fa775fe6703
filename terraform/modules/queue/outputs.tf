output "address" {
  description = "Host and port; the password is not told, see docs/deploying.md."
  value       = "${google_redis_instance.this.host}:${google_redis_instance.this.port}"
}
