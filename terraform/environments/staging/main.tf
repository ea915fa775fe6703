# As prod, smaller, and with nothing that holds on to its data.
module "platform" {
  source = "../../modules/platform"

  environment            = "staging"
  project                = var.project
  region                 = var.region
  data_location          = var.data_location
  customerio_region      = var.customerio_region
  customerio_workspace   = var.customerio_workspace
  domain                 = var.domain
  image_tag              = var.image_tag
  notification_channels  = var.notification_channels
  workers                = 1
  queue_memory_gb        = 1
  database_tier          = "db-custom-1-3840"
  highly_available       = false
  protected              = false
  landing_retention_days = 30
  log_retention_days     = 30
}
