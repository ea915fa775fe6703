variable "project" {
  description = "Project that the datasets are in and queries are billed to."
  type        = string
}

variable "location" {
  description = "Location of the datasets, such as EU; it cannot be changed."
  type        = string
}

variable "models_dataset" {
  description = "Dataset in which dbt builds its models."
  type        = string
}

variable "pipelines_account" {
  description = "E-mail of the account that runs syncs and loads."
  type        = string
}

variable "log_retention_days" {
  description = "Days after which a day of service logs expires."
  type        = number
}

variable "delete_contents_on_destroy" {
  description = "Whether destroying a dataset deletes its tables; otherwise it is refused."
  type        = bool
}

variable "labels" {
  description = "Labels of everything that takes them."
  type        = map(string)
}
