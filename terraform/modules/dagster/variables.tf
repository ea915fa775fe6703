variable "name" {
  description = "Name of the cluster, the database instance and what belongs to them."
  type        = string
}

variable "project" {
  description = "Project of the cluster and its identities."
  type        = string
}

variable "region" {
  description = "Region of cluster and database."
  type        = string
}

variable "network_id" {
  description = "Network of cluster and database."
  type        = string
}

variable "subnetwork_id" {
  description = "Subnetwork of the cluster, with the ranges `pods` and `services`."
  type        = string
}

variable "nodes_account" {
  description = "E-mail of the account that the nodes run as."
  type        = string
}

variable "pipelines_account" {
  description = "E-mail of the account that code location and runs act as."
  type        = string
}

variable "image_repository" {
  description = "Image without its tag."
  type        = string
}

variable "image_tag" {
  description = "Tag of the image."
  type        = string
}

variable "environment" {
  description = "Variables of code location and runs, without secrets."
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

variable "database_tier" {
  description = "Machine type of the database that keeps Dagster's history."
  type        = string
}

variable "highly_available" {
  description = "Whether a second database takes over when the first fails."
  type        = bool
}

variable "deletion_protection" {
  description = "Whether Terraform refuses to delete cluster and database."
  type        = bool
}

variable "labels" {
  description = "Labels of everything that takes them."
  type        = map(string)
}
