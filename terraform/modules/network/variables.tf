variable "name" {
  description = "Name of the network, and prefix of what is in it."
  type        = string
}

variable "region" {
  description = "Region of the subnetwork."
  type        = string
}
