variable "secrets" {
  description = "Secret id to the e-mails, by a name known before apply, of the accounts that may read it, and no other account may."
  type        = map(map(string))
}

variable "labels" {
  description = "Labels of everything that takes them."
  type        = map(string)
}

variable "deletion_protection" {
  description = "Whether Terraform refuses to delete a secret."
  type        = bool
}
