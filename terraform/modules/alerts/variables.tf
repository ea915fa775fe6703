variable "project" {
  description = "Project whose metrics and logs are watched."
  type        = string
}

variable "notification_channels" {
  description = "Names of the channels that are told, projects/…/notificationChannels/…; empty: only the console shows alerts."
  type        = list(string)
}

variable "sync_silence_minutes" {
  description = "Minutes without a push of people after which somebody is told; a push runs every 15 by default."
  type        = number
  validation {
    condition     = var.sync_silence_minutes >= 30 && var.sync_silence_minutes <= 1410
    error_message = "Between two runs and 23.5 hours, the longest that Cloud Monitoring waits."
  }
}

variable "labels" {
  description = "Labels of alerts."
  type        = map(string)
}
