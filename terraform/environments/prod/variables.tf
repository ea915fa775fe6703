variable "project" {
  description = "Id of the Google project of this environment alone."
  type        = string
}

variable "region" {
  description = "Region of services, cluster, queue and database, such as europe-west1."
  type        = string
}

variable "data_location" {
  description = "Location of datasets and landing bucket, such as EU."
  type        = string
}

variable "customerio_region" {
  description = "Region of the Customer.io workspace, us or eu."
  type        = string
}

variable "customerio_workspace" {
  description = "Name under which the snapshot of this environment's workspace is kept."
  type        = string
}

variable "domain" {
  description = "Host name that Customer.io and applications call."
  type        = string
}

variable "image_tag" {
  description = "Tag of the image that runs."
  type        = string
}

variable "notification_channels" {
  description = "Names of the channels that alerts go to."
  type        = list(string)
  default     = []
}
