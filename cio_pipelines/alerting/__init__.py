"""Telling people that something failed: to a Slack-compatible webhook and by e-mail."""

from cio_pipelines.alerting.channels import AlertError, Channel, EmailChannel, WebhookChannel, send
from cio_pipelines.alerting.message import Alert
from cio_pipelines.alerting.streak import Outcome, is_due

__all__ = ["Alert", "AlertError", "Channel", "EmailChannel", "Outcome", "WebhookChannel", "is_due", "send"]
