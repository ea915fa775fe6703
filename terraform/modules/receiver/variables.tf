variable "name" {
  description = "Name of the service, and prefix of what exposes it."
  type        = string
}

variable "region" {
  description = "Region of the service."
  type        = string
}

variable "image" {
  description = "Image with its tag."
  type        = string
}

variable "account" {
  description = "E-mail of the account that it runs as."
  type        = string
}

variable "environment" {
  description = "Variables without secrets."
  type        = map(string)
}

variable "secret_files" {
  description = "Variable to the id of the secret that it names a file with."
  type        = map(string)
}

variable "mounted_secrets" {
  description = "Ids of further secrets that are mounted, for a variable that names them inside."
  type        = list(string)
}

variable "subnetwork_id" {
  description = "Subnetwork from which the queue is reached."
  type        = string
}

variable "domain" {
  description = "Host name that Customer.io and applications call; its A record points to the output `ip_address`."
  type        = string
}

variable "deletion_protection" {
  description = "Whether Terraform refuses to delete the service."
  type        = bool
}

variable "labels" {
  description = "Labels of everything that takes them."
  type        = map(string)
}
