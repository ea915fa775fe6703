variable "name" {
  description = "Name of the bucket, unique in the world."
  type        = string
}

variable "location" {
  description = "Location of the bucket: that of the datasets, or BigQuery cannot load from it."
  type        = string
}

variable "project" {
  description = "Project that the role is made in."
  type        = string
}

variable "receiver_account" {
  description = "E-mail of the account that writes what Customer.io reports."
  type        = string
}

variable "pipelines_account" {
  description = "E-mail of the account that lists and loads it."
  type        = string
}

variable "retention_days" {
  description = "Days after which a landed object is deleted; by then it has to be loaded."
  type        = number
  validation {
    condition     = var.retention_days >= 30
    error_message = "Give loads 30 days at least: what is deleted before it is loaded is lost."
  }
}

variable "force_destroy" {
  description = "Whether destroying the bucket deletes what is in it; otherwise it is refused."
  type        = bool
}

variable "labels" {
  description = "Labels of everything that takes them."
  type        = map(string)
}
