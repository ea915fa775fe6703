variable "name" {
  description = "Name of the repository."
  type        = string
}

variable "region" {
  description = "Region of the repository."
  type        = string
}

variable "readers" {
  description = "E-mails, by a name known before apply, of the accounts that pull images."
  type        = map(string)
}

variable "labels" {
  description = "Labels of everything that takes them."
  type        = map(string)
}
