# A project to try things in: to the program it is staging, with a workspace of its own.
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
  database_tier          = "db-f1-micro"
  highly_available       = false
  protected              = false
  landing_retention_days = 30
  log_retention_days     = 14
}
