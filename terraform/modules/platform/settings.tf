# Who runs with which settings (cio_pipelines/settings.py), and who may read which secret. Variables that end in _FILE
# name a file that the secret is mounted as; the tests hold this file to what each program asks for.
locals {
  secret_readers = {
    customerio-site-id             = ["worker", "pipelines"]
    customerio-track-api-key       = ["worker", "pipelines"]
    customerio-app-api-key         = ["worker", "pipelines"]
    customerio-webhook-signing-key = ["receiver"]
    gateway-tokens                 = ["receiver"]
    queue-url                      = ["receiver", "worker", "pipelines"]
    queue-ca                       = ["receiver", "worker", "pipelines"]
    alert-webhook-url              = ["pipelines"]
  }

  secret_files = {
    receiver = {
      CUSTOMERIO_WEBHOOK_SIGNING_KEY_FILE = "customerio-webhook-signing-key"
      QUEUE_URL_FILE                      = "queue-url"
      CIO_GATEWAY_TOKENS                  = "gateway-tokens"
    }
    worker = {
      CUSTOMERIO_SITE_ID_FILE       = "customerio-site-id"
      CUSTOMERIO_TRACK_API_KEY_FILE = "customerio-track-api-key"
      CUSTOMERIO_APP_API_KEY_FILE   = "customerio-app-api-key"
      QUEUE_URL_FILE                = "queue-url"
    }
    pipelines = {
      CUSTOMERIO_SITE_ID_FILE       = "customerio-site-id"
      CUSTOMERIO_TRACK_API_KEY_FILE = "customerio-track-api-key"
      CUSTOMERIO_APP_API_KEY_FILE   = "customerio-app-api-key"
      QUEUE_URL_FILE                = "queue-url"
      CIO_ALERT_WEBHOOK_URL_FILE    = "alert-webhook-url"
    }
  }

  # the certificate of the queue's own authority, which QUEUE_URL names
  mounted_secrets = {
    receiver  = ["queue-ca"]
    worker    = ["queue-ca"]
    pipelines = ["queue-ca"]
  }

  environments = {
    receiver = {
      CIO_ENV     = var.environment
      LANDING_URL = module.landing.url
    }
    worker = {
      CIO_ENV           = var.environment
      CUSTOMERIO_REGION = var.customerio_region
    }
    pipelines = {
      CIO_ENV              = var.environment
      CUSTOMERIO_REGION    = var.customerio_region
      CUSTOMERIO_WORKSPACE = var.customerio_workspace
      WAREHOUSE_URL        = module.warehouse.url
      LANDING_URL          = module.landing.url
    }
  }
}
