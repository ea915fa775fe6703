variable "name" {
  description = "Name of the instance."
  type        = string
}

variable "region" {
  description = "Region of the instance."
  type        = string
}

variable "network_id" {
  description = "Network that it is reached from."
  type        = string
}

variable "memory_size_gb" {
  description = "Memory; a message that waits takes about 0.5 kB beside its body."
  type        = number
}

variable "highly_available" {
  description = "Whether a second node takes over when the first fails."
  type        = bool
}

variable "labels" {
  description = "Labels of everything that takes them."
  type        = map(string)
}
