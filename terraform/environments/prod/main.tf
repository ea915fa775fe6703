# What holds data is refused to be deleted.
module "platform" {
  source = "../../modules/platform"

  environment            = "prod"
  project                = var.project
  region                 = var.region
  data_location          = var.data_location
  customerio_region      = var.customerio_region
  customerio_workspace   = var.customerio_workspace
  domain                 = var.domain
  image_tag              = var.image_tag
  notification_channels  = var.notification_channels
  workers                = 2
  queue_memory_gb        = 5
  database_tier          = "db-custom-2-7680"
  highly_available       = true
  protected              = true
  landing_retention_days = 90
  log_retention_days     = 90
}
