output "names" {
  description = "Secret id to its full name; known when its readers may read it."
  value       = { for id, secret in google_secret_manager_secret.this : id => secret.name }
  depends_on  = [google_secret_manager_secret_iam_member.reader]
}
