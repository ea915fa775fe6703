variable "project" {
  description = "Id of the Google project; each environment has its own."
  type        = string
}

variable "environment" {
  description = "CIO_ENV of everything in here."
  type        = string
  validation {
    condition     = contains(["staging", "prod"], var.environment)
    error_message = "The program knows staging and prod in the cloud; a development project is staging to it."
  }
}

variable "region" {
  description = "Region of services, cluster, queue and database."
  type        = string
}

variable "data_location" {
  description = "Location of datasets and landing bucket, such as EU."
  type        = string
}

variable "models_dataset" {
  description = "Dataset in which dbt builds its models; the image was built for it."
  type        = string
  default     = "analytics"
}

variable "customerio_region" {
  description = "Region of the Customer.io workspace, us or eu."
  type        = string
  validation {
    condition     = contains(["us", "eu"], var.customerio_region)
    error_message = "Customer.io has the regions us and eu."
  }
}

variable "customerio_workspace" {
  description = "Name under which the snapshot of this workspace is kept; credentials may change, this may not."
  type        = string
}

variable "domain" {
  description = "Host name that Customer.io and applications call."
  type        = string
}

variable "image_tag" {
  description = "Tag of the image in the registry that this makes."
  type        = string
  validation {
    condition     = var.image_tag != "latest" && var.image_tag != ""
    error_message = "Name a release: `latest` is another image tomorrow."
  }
}

variable "workers" {
  description = "How many workers deliver messages."
  type        = number
}

variable "queue_memory_gb" {
  description = "Memory of the queue."
  type        = number
}

variable "database_tier" {
  description = "Machine type of Dagster's database."
  type        = string
}

variable "highly_available" {
  description = "Whether queue and database have a second node."
  type        = bool
}

variable "protected" {
  description = "Whether Terraform refuses to delete what holds data."
  type        = bool
}

variable "landing_retention_days" {
  description = "Days that landed webhooks are kept after they were loaded."
  type        = number
}

variable "log_retention_days" {
  description = "Days that service logs are kept in BigQuery."
  type        = number
}

variable "notification_channels" {
  description = "Names of the channels that alerts go to."
  type        = list(string)
}
