# Checks of Dagster are lines in the logs of runs; the receiver and the gateway count for Prometheus.
locals {
  runs = "resource.type=\"k8s_container\" AND resource.labels.namespace_name=\"dagster\""

  # name of the check in cio_pipelines/defs to what it means when it does not pass
  checks = {
    young_dead_letters = "A dead letter is older than CIO_DEAD_LETTER_HOURS: `cio dead-letters list`, then correct and replay it."
    few_dead_letters   = "There are more dead letters than CIO_MAX_DEAD_LETTERS: `cio dead-letters list`."
    moving_queues      = "A message that could go has waited for CIO_QUEUE_STALL_MINUTES: look at the worker's logs."
    rejection_rate     = "Customer.io refused more than CIO_MAX_REJECTED_SHARE of a run: its metadata says which fields and why."
    recent_arrival     = "Nothing came from Customer.io for CIO_WEBHOOK_SILENCE_HOURS: look at the receiver, and at the webhook's page there."
    all_files_loaded   = "Something landed and was not loaded: `cio load webhooks`, and `cio doctor` for what cannot be read."
  }

  # PromQL over metrics of /metrics
  counted = {
    events-not-stored = {
      query = "sum(increase(cio_webhook_requests_total{outcome=~\"not_stored|not_stored_in_time|busy|trouble\"}[5m])) > 0"
      told  = "The receiver answered 503: the landing zone did not take events. Customer.io sends them again for a week."
    }
    webhooks-not-signed = {
      query = "sum(increase(cio_webhook_requests_total{outcome=~\"bad_signature\"}[15m])) > 20"
      told  = "Requests with a wrong signature: was the signing key changed at Customer.io?"
    }
    gateway-errors = {
      query = "sum(increase(cio_gateway_requests_total{status=~\"5..\"}[5m])) > 10"
      told  = "The gateway cannot take messages: look at the queue (`cio doctor`)."
    }
    gateway-tokens-invalid = {
      query = "min(cio_gateway_tokens_file_valid) == 0"
      told  = "The file of tokens is not valid; what it said before holds. Add a right version of the secret."
    }
  }
}

resource "google_logging_metric" "failed_check" {
  for_each = local.checks

  name        = "cio/check/${each.key}"
  description = "Runs in which the check ${each.key} did not pass."
  filter      = "${local.runs} AND textPayload=~\"ASSET_CHECK_EVALUATION - Asset check '${each.key}' on '[^']+' did not pass\""

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
  }
}

resource "google_monitoring_alert_policy" "failed_check" {
  for_each = local.checks

  display_name          = "cio: ${each.key}"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = var.notification_channels
  user_labels           = var.labels

  conditions {
    display_name = "the check did not pass"
    condition_threshold {
      filter          = "resource.type=\"k8s_container\" AND metric.type=\"logging.googleapis.com/user/${google_logging_metric.failed_check[each.key].name}\""
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"
      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = each.value
  }

  alert_strategy {
    auto_close = "7200s"
  }
}

resource "google_logging_metric" "pushed" {
  name        = "cio/pushed"
  description = "Pushes of people that ended."
  filter      = "${local.runs} AND textPayload=~\"ASSET_MATERIALIZATION - Materialized value customerio identified_profiles\""

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
  }
}

resource "google_monitoring_alert_policy" "stale" {
  display_name          = "cio: people are not synced"
  combiner              = "OR"
  severity              = "CRITICAL"
  notification_channels = var.notification_channels
  user_labels           = var.labels

  conditions {
    display_name = "no push of people"
    condition_absent {
      filter   = "resource.type=\"k8s_container\" AND metric.type=\"logging.googleapis.com/user/${google_logging_metric.pushed.name}\""
      duration = "${var.sync_silence_minutes * 60}s"
      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "No run of `sync_people` came to its end: are daemon and code location up, and is the schedule `current_day` on?"
  }
}

resource "google_monitoring_alert_policy" "counted" {
  for_each = local.counted

  display_name          = "cio: ${each.key}"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = var.notification_channels
  user_labels           = var.labels

  conditions {
    display_name = each.key
    condition_prometheus_query_language {
      query               = each.value.query
      duration            = "60s"
      evaluation_interval = "60s"
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = each.value.told
  }
}

# What the load balancer and Cloud Run see of a receiver that does not answer at all.
resource "google_monitoring_alert_policy" "receiver_failing" {
  display_name          = "cio: receiver fails"
  combiner              = "OR"
  severity              = "CRITICAL"
  notification_channels = var.notification_channels
  user_labels           = var.labels

  conditions {
    display_name = "answers 5xx"
    condition_threshold {
      filter          = "resource.type=\"cloud_run_revision\" AND resource.labels.project_id=\"${var.project}\" AND metric.type=\"run.googleapis.com/request_count\" AND metric.labels.response_code_class=\"5xx\""
      comparison      = "COMPARISON_GT"
      threshold_value = 0.1
      duration        = "300s"
      aggregations {
        alignment_period     = "60s"
        per_series_aligner   = "ALIGN_RATE"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "The receiver answers with errors: look at its logs and at `/readyz`."
  }
}
